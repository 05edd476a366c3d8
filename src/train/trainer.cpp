// The loop over steps of a training run; src/train/setup.cpp builds what it uses.
#include "trainer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "layout.hpp"
#include "memory_plan.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/profile.hpp"
#include "passes.hpp"
#include "replica_check.hpp"
#include "step_trace.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// A double that reads back bit for bit.
std::string exact_text(double value) {
  return formatted("%.17g", value);
}

}  // namespace

ExitCode Trainer::run() {
  const bool complete = resume_from_ && step_ >= total_steps_;
  if (deck_.train.do_train && complete) {
    leave_complete();
    return kExitOk;
  }
  const bool only_evaluates = !deck_.train.do_train;
  const bool starts = step_ == 0 && deck_.log.eval_on_start;
  if (deck_.train.do_eval && (starts || only_evaluates)) eval_loss_ = evaluate();
  const bool stopped = only_evaluates ? vote_.result() != Stop::kNo : !train();
  session_.activity().phase(Phase::kFinish);
  finish(stopped ? "stopped" : "ok");
  return stopped ? kExitRequeue : kExitOk;
}

std::string Trainer::explain() {
  return watchdog_ ? watchdog_->explain() : "";
}

void Trainer::leave_complete() {
  log::info(cat("nothing to train: ", resume_from_->string(), " holds step ", step_,
                " of ", total_steps_));
  const fs::path output_dir = deck_.checkpoint.output_dir;
  const bool whole = summarised_step(output_dir) == step_;
  if (session_.broadcast_text(whole ? "whole" : "") == "whole") return;
  export_result(*resume_from_);
  finish("ok");
}

bool Trainer::train() {
  const PhaseRange phase(session_.activity(), Phase::kStep);
  interval_begin_.emplace(device_);
  first_step_ = step_;
  log_->forget_summary();
  // Pinned memory takes a second per GB to make: a GPU's run makes it at the first save.
  if (device_.is_cpu()) saver_->prepare();
  // The host may be one step ahead of a GPU; on the CPU a step is complete when it
  // returns.
  const size_t late = device_.is_cpu() ? 0 : 1;
  while (step_ < total_steps_) {
    step();
    ++step_;
    settle_to(late);
    check_copies();
    account("step");
    saver_->poll();
    const Stop stop = after_step();
    if (stop != Stop::kNo) return stop_here(stop);
  }
  save(true);
  return true;
}

bool Trainer::stop_here(Stop why) {
  saver_->wait();
  account("save");
  const std::string cause = why == Stop::kRequested ? "by request" : "as max_time is up,";
  log::info(cat("stopped ", cause, " after step ", step_, " of ", total_steps_,
                ": the same command resumes"));
  return false;
}

void Trainer::check_copies() {
  const int64_t every = deck_.train.check_weight_hash_across_dp_replicas_interval;
  if (every == 0 || step_ % every != 0) return;
  gather_->require_all();
  check_replicas(model_->buffer(), step_, session_);
}

StepBatch Trainer::draw() {
  const ActivityRange range(session_.activity(), {Doing::kData, "reading of data"});
  StepBatch batch = loader_->step(cursor_);
  scale_weights(batch, deck_.train.loss_average, *groups_.data);
  return batch;
}

void Trainer::run_passes(const StepBatch& batch) {
  if (preference_) {
    const auto pairs = static_cast<double>(loader_->sampler().global_batch_size());
    preference_->begin(batch, 1 / pairs);
  }
  sync_->begin_step();
  model_->start_step(batch.micro_batches, true, &*sync_, &*gather_);
  const auto shape = schedule_shape(deck_, static_cast<int>(batch.micro_batches.size()));
  parallel::run_schedule(parallel::training_schedule(shape, groups_.pipeline->rank()),
                         shape, *model_, *groups_.pipeline, session_.activity());
  sync_->finish();
  vote_.start(saver_->expected_seconds());
}

void Trainer::step() {
  const ProfileRange range(cat("step ", step_ + 1));
  session_.activity().step(step_ + 1);
  std::optional<StepTrace> trace;
  if (deck_.log.profile_step == step_ + 1) trace.emplace(session_, step_ + 1);
  const StepBatch batch = draw();
  run_passes(batch);
  update(batch);
  if (trace) trace->write(deck_.checkpoint.output_dir, rank_name());
}

std::string Trainer::rank_name() const {
  const comm::Coordinates at = grid_.coordinates(session_.rank());
  return cat("rank ", session_.rank(), " (tensor ", at.tensor, ", data ", at.data,
             ", stage ", at.pipeline, ")");
}

void Trainer::update(const StepBatch& batch) {
  const ActivityRange range(session_.activity(), {Doing::kOptimizer, "optimizer"});
  const auto totals = optimizer_->totals(shares());
  const double rate = schedule_->rate(course_->schedule_position(step_, cursor_));
  optimizer_->update(rate, totals);
  gather_->start();
  cursor_ = loader_->sampler().next(cursor_);
  const double flops = static_cast<double>(batch.tokens) * flops_per_token(batch);
  const at::Tensor router = model_->router_figures();
  if (router.defined()) groups_.world->all_reduce(router, comm::Reduce::kSum);
  under_way_.push_back({step_ + 1, batch.tokens, loader_->sampler().epoch(cursor_), rate,
                        flops, LateCopy(totals.values),
                        router.defined() ? LateCopy(router) : LateCopy(),
                        Moment(device_)});
}

at::Tensor Trainer::shares() const {
  return preference_ ? preference_->share() : model_->loss_share();
}

double Trainer::flops_per_token(const StepBatch& batch) const {
  const double length =
      batch.squared_lengths / static_cast<double>(std::max<int64_t>(1, batch.tokens));
  // A forward pass is a third of forward and backward.
  const double passes = preference_ && preference_->has_reference() ? 4.0 / 3 : 1;
  return passes * description_.config->flops_per_token(length);
}

void Trainer::end_phase(const std::string& name) {
  start_phases_.push_back(name + formatted(" %.2f s", phase_clock_.restart()));
}

void Trainer::report_start() {
  end_phase("first step");
  log::info(cat("start   first step done after ",
                formatted("%.1f s", seconds_since_process_start()), ": ",
                join(start_phases_, ", ")));
}

std::string Trainer::memory_text() const {
  const auto bytes = [](const at::Tensor& x) { return static_cast<double>(x.nbytes()); };
  const parallel::ParamBuffer& buffer = model_->buffer();
  auto items = activation_plan(deck_, *description_.config, groups_.pipeline->rank(),
                               largest_micro_batch(), device_);
  items.push_back({"weights", bytes(buffer.weights())});
  if (preference_) {
    items.push_back(
        {"reference weights", static_cast<double>(preference_->reference_bytes())});
  }
  items.push_back({"gradients", bytes(buffer.grads())});
  items.push_back({"optimizer", static_cast<double>(optimizer_->state_bytes())});
  if (device_.is_cpu())  // of a GPU's run it lies elsewhere
    items.push_back({"copy for checkpoints", static_cast<double>(saver_->copy_bytes())});
  return cat("memory  of rank ", session_.rank(), " by owner, planned; measured peak ",
             human_bytes(static_cast<double>(peak_tensor_bytes(device_))), "\n",
             memory_table(items));
}

void Trainer::settle_to(size_t late) {
  while (under_way_.size() > late) settle();
}

void Trainer::settle() {
  StepRecord record = std::move(under_way_.front());
  under_way_.pop_front();
  const parallel::StepTotals totals{record.totals.arrived()};
  const double loss = totals.loss(), norm = totals.gradient_norm();
  if (accept_step(record.step, loss, norm)) {
    interval_loss_ += loss;
    ++interval_steps_;
    if (preference_) {
      const auto figure = [&](Preference::Figure f) {
        return totals.further(f - Preference::kRewardChosen);
      };
      interval_rewards_.chosen += figure(Preference::kRewardChosen);
      interval_rewards_.rejected += figure(Preference::kRewardRejected);
      interval_rewards_.accuracy += figure(Preference::kAccuracy);
    }
    const at::Tensor& router = record.router.arrived();
    if (router.defined()) interval_router_.add(router);
  }
  if (record.step == first_step_ + 1) report_start();
  if (record.step == first_step_ + 3) log::info(memory_text());
  tokens_ += record.tokens;
  interval_tokens_ += record.tokens;
  interval_flops_ += record.flops;
  last_.step = record.step;
  last_.total_steps = total_steps_;
  last_.grad_norm = norm;
  last_.learning_rate = record.learning_rate;
  log_->moved(record.step, total_steps_);
  if (record.step == total_steps_ || record.step % deck_.log.logging_steps == 0)
    log_step(std::move(record));
}

bool Trainer::accept_step(int64_t step, double loss, double norm) {
  if (std::isfinite(loss) && std::isfinite(norm))
    return guard_.accepts(step, loss, norm, "");
  // With a later step under way its gradients have replaced those of this one.
  const std::string where = under_way_.empty()
                                ? nonfinite_places(session_.all_gather_text(
                                      first_nonfinite_gradient(model_->buffer())))
                                : "";
  saver_->wait();  // what it saves is from before, and may be what a restart needs
  session_.agree([&] { guard_.accepts(step, loss, norm, where); });
  return false;
}

void Trainer::log_step(StepRecord record) {
  const double seconds = record.done.seconds_since(*interval_begin_);
  last_.epoch = record.epoch;
  const auto steps = static_cast<double>(interval_steps_);
  last_.loss = interval_loss_ / steps;
  if (preference_) {
    last_.rewards = {interval_rewards_.chosen / steps, interval_rewards_.rejected / steps,
                     interval_rewards_.accuracy / steps};
  }
  last_.tokens = tokens_;
  last_.tokens_per_second = static_cast<double>(interval_tokens_) / seconds;
  last_.tflops_per_rank = interval_flops_ / seconds / session_.world_size() / 1e12;
  last_.peak_memory_bytes = peak_memory_bytes(device_);
  const DoingTimes times = session_.activity().times();
  log::to_file(cat("steps to ", record.step, ": ", to_string(times - interval_start_),
                   "; peak memory ",
                   human_bytes(static_cast<double>(last_.peak_memory_bytes))));
  last_.times = spread_over_ranks(times - interval_start_, *groups_.world);
  interval_start_ = times;
  if (!interval_router_.empty()) last_.router = interval_router_.take();
  log_->step(last_);
  interval_begin_ = std::move(record.done);
  interval_loss_ = interval_flops_ = 0;
  interval_tokens_ = interval_steps_ = 0;
  interval_rewards_ = {};
}

at::Tensor Trainer::evaluation_means() {
  at::Tensor sum = at::zeros({1}, at::TensorOptions().dtype(at::kDouble).device(device_));
  int64_t count = 0;
  for (int64_t i = 0; i < eval_loader_->evaluation_steps(); ++i) {
    vote_.start(saver_->expected_seconds());
    if (vote_.result() != Stop::kNo) return {};
    const StepBatch batch = eval_loader_->evaluation_step(i);
    if (preference_) preference_->begin(batch, 1);
    run_forward(deck_, groups_, *model_, batch, &*gather_);
    sum = sum + shares();
    for (const auto& m : batch.micro_batches)
      count += preference_ ? pairs_of(m) : trained_positions(m);
  }
  at::Tensor total = at::full({1}, count, at::kLong);
  groups_.data->all_reduce(total, comm::Reduce::kSum);
  groups_.world->all_reduce(sum, comm::Reduce::kSum);
  return sum.cpu() / static_cast<double>(std::max<int64_t>(1, total.item<int64_t>()));
}

double Trainer::evaluate() {
  if (!eval_loader_) return std::nan("");
  settle_to(0);
  const PhaseRange phase(session_.activity(), Phase::kEvaluation);
  const Stopwatch clock;
  const at::Tensor means = evaluation_means();
  if (!means.defined()) {
    log::warning(cat("evaluation after step ", step_, " given up: the run shall stop"));
    return std::nan("");
  }
  const auto figure = [&](int i) { return means[i].item<double>(); };
  const double loss = figure(0);
  std::optional<Rewards> rewards;
  if (preference_) {
    rewards = {figure(Preference::kRewardChosen), figure(Preference::kRewardRejected),
               figure(Preference::kAccuracy)};
  }
  log_->evaluation(step_, total_steps_, loss, rewards, clock.seconds());
  account("evaluation");
  interval_begin_.emplace(device_);
  return loss;
}

checkpoint::TrainingState Trainer::state() const {
  checkpoint::TrainingState state;
  state.step = step_;
  state.updates = guard_.updates();
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
  if (preference_) {
    const Rewards& r = interval_rewards_;
    state.extra[kIntervalRewardsField] = cat(
        exact_text(r.chosen), " ", exact_text(r.rejected), " ", exact_text(r.accuracy));
  }
  best_.note(state.extra);
  state.extra[kDtypeField] = dtype_name(dtype());
  state.extra[kDataContentField] = data_.content;
  state.extra[kDataRowsField] = cat(data_.rows);
  state.extra[kGlobalBatchField] = cat(loader_->sampler().global_batch_size());
  state.extra[kFirstBatchField] = cat(course_->first_batch());
  state.extra[kTokenizerDirField] =
      std::filesystem::absolute(tokenizer_dir(deck_.model)).string();
  return state;
}

void Trainer::save(bool last) {
  const PhaseRange phase(session_.activity(), Phase::kSave);
  log_->draw();
  settle_to(0);
  gather_->require_all();
  std::optional<HfExport> hf;
  if (deck_.checkpoint.save_hf_model) hf = hf_export("");
  saver_->save(state(), config::dump_deck(parsed_), hf);
  if (last) {
    saver_->wait();
    export_result(saver_->committed());
  }
  account("save");
}

HfExport Trainer::hf_export(const std::filesystem::path& folder) const {
  return {folder, description_.text, tokenizer_dir(deck_.model), dtype(), kMaxShardBytes};
}

void Trainer::export_model(const std::filesystem::path& checkpoint,
                           const std::filesystem::path& hf_dir) {
  std::optional<checkpoint::CheckpointReader> reader;
  session_.agree([&] { reader.emplace(checkpoint); });
  export_hf(*reader, hf_export(hf_dir), session_);
  log::info(cat("Hugging Face model written: ", hf_dir.string()));
}

void Trainer::finish(const std::string& result) {
  at::Tensor peaks = at::zeros({session_.world_size()}, at::kLong);
  peaks[session_.rank()] = peak_memory_bytes(device_);
  last_.step = step_;
  last_.total_steps = total_steps_;
  last_.tokens = tokens_;
  groups_.world->all_reduce(peaks, comm::Reduce::kSum);
  const auto* first = peaks.data_ptr<int64_t>();
  const auto times = spread_over_ranks(session_.activity().times(), *groups_.world);
  if (deck_.train.do_train) log::info(to_string(times));
  const std::vector<int64_t> peak_of_ranks(first, first + peaks.numel());
  session_.agree([&] {
    try {
      log_->draw();
      log_->summary(result, last_, times_, times, peak_of_ranks, eval_loss_);
      log_->require_whole();
    } catch (const Error& fault) {
      // What was asked to stop goes on by its exit code: rows are the smaller loss.
      if (result != "stopped") throw;
      log::warning(fault.what());
    }
  });
}

}  // namespace mtrain::train
