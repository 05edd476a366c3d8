// The loop over steps of a training run; src/train/setup.cpp builds what it uses.
#include "trainer.hpp"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <cmath>

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// A double that reads back bit for bit.
std::string exact_text(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

void Trainer::run() {
  const bool complete = resume_from_ && step_ >= total_steps_;
  if (deck_.train.do_train && complete) return leave_complete();
  const bool only_evaluates = !deck_.train.do_train;
  if (deck_.train.do_eval && (step_ == 0 || only_evaluates)) eval_loss_ = evaluate();
  if (deck_.train.do_train) train();
  finish();
}

void Trainer::leave_complete() {
  log::info(cat("nothing to train: ", resume_from_->string(), " holds step ", step_,
                " of ", total_steps_));
  const fs::path output_dir = deck_.checkpoint.output_dir;
  const bool whole = summarised_step(output_dir) == step_;
  if (session_.broadcast_text(whole ? "whole" : "") == "whole") return;
  export_model(*resume_from_, output_dir);
  finish();
}

void Trainer::train() {
  interval_clock_.restart();
  while (step_ < total_steps_) {
    step();
    ++step_;
    const bool last = step_ == total_steps_;
    if (last || step_ % deck_.log.logging_steps == 0) log_step();
    account("step");
    const int64_t every = deck_.checkpoint.save_steps;
    if (!last && every > 0 && step_ % every == 0) save(false);
    const auto eval_every = deck_.log.eval_steps;
    const bool wanted = last || (eval_every && step_ % *eval_every == 0);
    if (deck_.train.do_eval && wanted) eval_loss_ = evaluate();
  }
  save(true);
}

void Trainer::step() {
  StepBatch batch = loader_->step(cursor_);
  scale_weights(batch, deck_.train.loss_average, *groups_.data);
  sync_->begin_step();
  model_->start_step(batch.micro_batches, true, &*sync_, &*gather_);
  const auto shape = schedule_shape(deck_, static_cast<int>(batch.micro_batches.size()));
  parallel::run_schedule(parallel::training_schedule(shape, groups_.pipeline->rank()),
                         shape, *model_, *groups_.pipeline);
  sync_->finish();
  const auto totals = optimizer_->totals(loss_share(batch));
  const double norm = totals.gradient_norm(), loss = totals.loss();
  if (!std::isfinite(norm) || !std::isfinite(loss)) {
    throw Error(
        cat("step ", step_ + 1, ": loss ", loss, ", gradient norm ", norm),
        "lower learning_rate, or look for bad samples; the last checkpoint is whole");
  }
  last_.grad_norm = norm;
  last_.learning_rate = schedule_->rate(step_);
  optimizer_->update(last_.learning_rate, totals);
  gather_->start();
  cursor_ = loader_->sampler().next(cursor_);
  interval_loss_ += loss;
  uncounted_tokens_ += batch.tokens;
  ++interval_steps_;
}

at::Tensor Trainer::loss_share(const StepBatch& batch) const {
  at::Tensor sum = at::zeros({1}, at::kDouble);
  if (model_->has_loss() && groups_.tensor->rank() == 0) {
    for (size_t m = 0; m < batch.micro_batches.size(); ++m) {
      const auto& weights = batch.micro_batches[m].weights;
      const at::Tensor loss = model_->token_loss(static_cast<int>(m))
                                  .narrow(0, 0, static_cast<int64_t>(weights.size()))
                                  .to(at::kCPU, at::kDouble);
      sum += (loss * at::tensor(at::ArrayRef<float>(weights)).to(at::kDouble)).sum();
    }
  }
  return sum;
}

void Trainer::count_tokens() {
  at::Tensor tokens = at::full({1}, uncounted_tokens_, at::kLong);
  groups_.data->all_reduce(tokens, comm::Reduce::kSum);
  tokens_ += tokens.item<int64_t>();
  interval_tokens_ += tokens.item<int64_t>();
  uncounted_tokens_ = 0;
}

void Trainer::log_step() {
  count_tokens();
  last_.step = step_;
  last_.total_steps = total_steps_;
  last_.epoch = loader_->sampler().epoch(cursor_);
  last_.loss = interval_loss_ / static_cast<double>(interval_steps_);
  last_.tokens = tokens_;
  last_.tokens_per_second =
      static_cast<double>(interval_tokens_) / interval_clock_.restart();
  log_->step(last_);
  interval_loss_ = 0;
  interval_tokens_ = interval_steps_ = 0;
}

double Trainer::evaluate() {
  if (!eval_loader_) return std::nan("");
  const Stopwatch clock;
  at::Tensor sum = at::zeros({1}, at::kDouble);
  int64_t count = 0;
  for (int64_t i = 0; i < eval_loader_->evaluation_steps(); ++i) {
    const StepBatch batch = eval_loader_->evaluation_step(i);
    model_->start_step(batch.micro_batches, false, nullptr, &*gather_);
    const auto shape =
        schedule_shape(deck_, static_cast<int>(batch.micro_batches.size()));
    parallel::run_schedule(parallel::forward_schedule(shape, groups_.pipeline->rank()),
                           shape, *model_, *groups_.pipeline);
    sum += loss_share(batch);
    for (const auto& m : batch.micro_batches) count += trained_positions(m);
  }
  at::Tensor total = at::full({1}, count, at::kLong);
  groups_.data->all_reduce(total, comm::Reduce::kSum);
  groups_.world->all_reduce(sum, comm::Reduce::kSum);
  const double loss = sum.item<double>() /
                      static_cast<double>(std::max<int64_t>(1, total.item<int64_t>()));
  log_->evaluation(step_, total_steps_, loss, clock.seconds());
  account("evaluation");
  interval_clock_.restart();
  return loss;
}

checkpoint::TrainingState Trainer::state() const {
  checkpoint::TrainingState state;
  state.step = state.updates = step_;
  state.samples_consumed = cursor_;
  state.tokens = tokens_;
  state.seed = static_cast<uint64_t>(deck_.train.seed);
  state.data_seed =
      static_cast<uint64_t>(deck_.data.data_seed.value_or(deck_.train.seed));
  state.init_seed = static_cast<uint64_t>(deck_.model.init_seed);
  state.stage = config::to_string(deck_.train.stage);
  state.model_config_json = description_.text;
  state.world_size = session_.world_size();
  state.layout = layout_name(deck_.parallel, session_.world_size());
  state.extra[kIntervalStepsField] = cat(interval_steps_);
  state.extra[kIntervalLossField] = exact_text(interval_loss_);
  state.extra[kDtypeField] = dtype_name(dtype());
  state.extra[kTokenizerDirField] =
      std::filesystem::absolute(tokenizer_dir(deck_.model)).string();
  return state;
}

void Trainer::save(bool last) {
  gather_->require_all();
  count_tokens();
  const auto folder =
      save_checkpoint(deck_.checkpoint, state(), config::dump_deck(parsed_), *optimizer_,
                      dtype(), session_);
  log::info(cat("checkpoint saved: ", folder.string()));
  account("save");
  if (deck_.checkpoint.save_hf_model) export_model(folder, folder / "hf");
  if (last) export_model(folder, deck_.checkpoint.output_dir);
  account("save");
}

void Trainer::export_model(const std::filesystem::path& checkpoint,
                           const std::filesystem::path& hf_dir) {
  std::optional<checkpoint::CheckpointReader> reader;
  session_.agree([&] { reader.emplace(checkpoint); });
  export_hf(
      *reader,
      {hf_dir, description_.text, tokenizer_dir(deck_.model), dtype(), kMaxShardBytes},
      session_);
  log::info(cat("Hugging Face model written: ", hf_dir.string()));
}

void Trainer::finish() {
  at::Tensor peaks = at::zeros({session_.world_size()}, at::kLong);
  peaks[session_.rank()] = peak_memory_bytes();
  last_.step = step_;
  last_.total_steps = total_steps_;
  last_.tokens = tokens_;
  groups_.world->all_reduce(peaks, comm::Reduce::kSum);
  const auto* first = peaks.data_ptr<int64_t>();
  log_->summary("ok", last_, times_, {first, first + peaks.numel()}, eval_loss_);
}

}  // namespace mtrain::train
