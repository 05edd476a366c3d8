// Builds a Trainer: inputs read and checked first, then the model, then its weights.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "compat.hpp"
#include "layout.hpp"
#include "model_rules.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/config/no_effect.hpp"
#include "no_room.hpp"
#include "output_dir.hpp"
#include "pair_loss.hpp"
#include "reference_cache.hpp"
#include "remedy.hpp"
#include "resume.hpp"
#include "trainer.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

at::Device open_device_everywhere(const config::Parallel& parallel,
                                  const comm::Session& session) {
  at::Device device = at::kCPU;
  session.agree([&] {
    device = open_device(parallel, session);
    choose_backend(parallel.backend, device);
  });
  return device;
}

}  // namespace

Trainer::Trainer(const config::ParsedDeck& parsed, const comm::Session& session,
                 watch::Watchdog& watchdog)
    : parsed_(parsed),
      deck_(parsed.deck),
      session_(session),
      watchdog_(watchdog),
      device_(open_device_everywhere(parsed.deck.parallel, session)),
      grid_(grid_sizes(parsed.deck.parallel, session.world_size())),
      groups_(comm::make_groups(session, grid_,
                                choose_backend(parsed.deck.parallel.backend, device_))),
      vote_(parsed.deck.train.max_time, *groups_.world),
      guard_(parsed.deck.train, 0),
      best_(parsed.deck.checkpoint),
      eval_loss_(std::nan("")) {
  start_phases_.push_back(
      formatted("launch, MPI, device %.2f s", seconds_since_process_start()));
  phase_clock_.restart();
  read_inputs();
  end_phase("inputs");
  stop_where_asked(session_);
  build_model();
  end_phase("model");
  load_or_initialise();
  build_preference();
  end_phase("weights");
  print_banner();
  account("setup");
}

void Trainer::read_inputs() {
  session_.agree([&] {
    description_ = read_model_description(deck_.model);
    check_layout(deck_, *description_.config, session_.world_size());
    if (session_.rank() == 0)
      side_files_ = std::make_shared<const SideFiles>(side_files(deck_, description_));
  });
  tell_what_has_no_effect();
  take_output_dir();
  watchdog_.set({deck_.train.hang_timeout, deck_.checkpoint.output_dir + "/hang"});
  read_stores();
  session_.agree([&] {
    const int dp_size = groups_.data->size(), dp_rank = groups_.data->rank();
    const int64_t vocab = description_.config->vocab_size();
    train_store_->limit_ids(vocab);
    loader_.emplace(*train_store_,
                    sampler_options(deck_, train_store_->num_rows(), dp_size), dp_rank);
    padding_ = compat_padding(deck_);
    if (padding_) loader_->pad(*padding_);
    if (deck_.train.balance_micro_batches) {
      loader_->balance([config = description_.config.get()](int64_t positions) {
        const auto length = static_cast<double>(positions);
        return length * config->flops_per_token(length);
      });
    }
    set_course(loader_->sampler().global_batch_size());
    if (!stores_.eval || !deck_.train.do_eval) return;
    eval_store_.emplace(*stores_.eval);
    eval_store_->limit_ids(vocab);
    eval_loader_.emplace(*eval_store_, evaluation_options(deck_, *eval_store_, dp_size),
                         dp_rank);
    if (padding_) eval_loader_->pad(*padding_);
  });
}

void Trainer::tell_what_has_no_effect() const {
  config::ParsedDeck noted = parsed_;
  noted.warnings = keys_without_effect(parsed_, *description_.config);
  // device = cpu is known from the deck, and told there.
  const bool asked = deck_.kernels.attention_backend != config::AttentionBackend::kAuto;
  if (asked && device_.is_cpu() && deck_.parallel.device == config::Device::kAuto)
    config::warn_no_effect(noted, "attention_backend",
                           "this run computes on the CPU, which has one of its own");
  for (const auto& warning : noted.warnings) log::warning(warning);
}

void Trainer::take_output_dir() {
  const fs::path output_dir = deck_.checkpoint.output_dir;
  const auto own = [&] {
    session_.agree([&] {
      if (session_.rank() == 0) make_output_dir(output_dir);
    });
    lock_ = lock_for_all(session_, output_dir / kFolderLock,
                         "output_dir " + output_dir.string());
  };
  std::error_code ignored;
  const bool seen = session_.rank() == 0 && fs::exists(output_dir, ignored);
  const bool there = !session_.broadcast_text(seen ? "there" : "").empty();
  if (there) own();  // a run that is refused makes no folder
  resume_from_ = checkpoint_to_resume(deck_, session_);
  session_.agree([&] {
    if (!resume_from_) return;
    resumed_.emplace(*resume_from_);
    check_changes(*resumed_, deck_, description_, session_.world_size());
  });
  if (!there) own();
  session_.agree([&] {
    if (session_.rank() == 0)
      prepare_output_dir(deck_, continues_in(output_dir, resume_from_));
  });
}

void Trainer::read_stores() {
  stores_ = token_stores(deck_, session_);
  session_.agree([&] {
    if (session_.rank() != 0) return;
    require_evaluation(deck_, eval_store_path(stores_.train));
    const int64_t vocab = description_.config->vocab_size();
    data_.content = check_store(stores_.train, deck_.train.stage, vocab);
    if (stores_.eval) check_store(*stores_.eval, deck_.train.stage, vocab);
  });
  data_.content = session_.broadcast_text(data_.content);
  session_.agree([&] {
    train_store_.emplace(stores_.train);
    data_.rows = train_store_->num_rows();
    if (resumed_) check_data(resumed_->state(), data_, deck_);
  });
}

void Trainer::set_course(int64_t first_batch) {
  course_.emplace(deck_.train, loader_->sampler(), first_batch);
  total_steps_ = course_->total_steps(step_, cursor_);
  schedule_.emplace(deck_.optimizer, course_->schedule_steps());
}

int64_t Trainer::largest_micro_batch() const {
  int64_t longest = 0;
  for (int64_t row = 0; row < train_store_->num_rows(); ++row) {
    const auto [first, last] = train_store_->row_samples(row);
    int64_t tokens = 0;
    for (int64_t i = first; i < last; ++i)
      tokens += std::max<int64_t>(train_store_->sample_length(i) - 1, 0);
    longest = std::max(longest, tokens);
  }
  return longest * deck_.train.per_device_train_batch_size;
}

template <class Run>
void Trainer::build(const Run& run) {
  session_.agree([&] {
    explain_no_room(
        deck_, session_.world_size(),
        [&] { return planned_holders(deck_, session_.world_size()); }, run);
  });
}

void Trainer::build_model() {
  build([&] {
    model_ = description_.config->make(
        groups_, model_options(deck_, *description_.config, device_));
    const auto sharding = data_parallel_options(deck_.parallel);
    sync_.emplace(model_->buffer(), groups_, sharding);
    gather_.emplace(model_->buffer(), groups_, sharding);
    optimizer_.emplace(model_->buffer(), groups_, sharding,
                       adamw_options(deck_.optimizer));
    saver_.emplace(deck_.checkpoint, *optimizer_, model_->buffer().dtype(), session_);
  });
}

void Trainer::build_preference() {
  if (deck_.train.stage != config::Stage::kDpo) return;
  at::Tensor reference;
  build([&] {
    if (!needs_reference(deck_.dpo.pref_loss)) return;
    if (!deck_.dpo.ref_log_probs.empty()) {
      loader_->reference(read_reference(deck_, description_, *train_store_));
      if (eval_loader_)
        eval_loader_->reference(read_reference(deck_, description_, *eval_store_));
      return;
    }
    reference = at::zeros_like(model_->buffer().weights());
    const parallel::BoundWeights bound(model_->buffer(), reference);
    load_reference(deck_, description_, model_->buffer());
  });
  preference_.emplace(deck_, groups_, *model_, reference);
}

void Trainer::load_or_initialise() {
  session_.agree([&] {
    if (resumed_) return with_remedy(kCheckpointRemedy, [&] { resume(); });
    load_initial(deck_.model, description_, model_->buffer());
    optimizer_->reset_master();
  });
  stop_where_asked(session_);
  // Nothing is left to find fault with: only now an earlier run may go.
  session_.agree([&] {
    const fs::path output_dir = deck_.checkpoint.output_dir;
    const bool writes = session_.rank() == 0;
    if (writes && deck_.checkpoint.overwrite_output_dir &&
        !continues_in(output_dir, resume_from_)) {
      remove_earlier_run(output_dir);
    }
    log_.emplace(output_dir, writes, step_,
                 LogOptions{deck_.log.report_to == config::ReportTo::kTensorboard,
                            deck_.log.plot_loss});
    if (!deck_.log.log_per_rank) return;
    char name[32];
    std::snprintf(name, sizeof name, "rank-%05d.log", session_.rank());
    make_directory(output_dir / "logs");
    log::open_file((output_dir / "logs" / name).string());
  });
}

void Trainer::resume() {
  const checkpoint::CheckpointReader reader = std::move(*resumed_);
  resumed_.reset();
  const checkpoint::TrainingState& state = reader.state();
  step_ = state.step;
  cursor_ = carried_cursor(state, data_.rows);
  tokens_ = state.tokens;
  set_course(first_batch(reader, loader_->sampler().global_batch_size()));
  check_tensors(*description_.config, weights_of(reader), resume_from_->string());
  if (deck_.train.do_train && step_ < total_steps_) require_moments(reader);
  restore(reader, model_->buffer(), *optimizer_);
  optimizer_->set_updates(state.updates);
  guard_ = StepGuard(deck_.train, state.updates);
  if (continues_in(deck_.checkpoint.output_dir, resume_from_)) best_.resume(state.extra);
  resume_interval(state);
}

void Trainer::resume_interval(const checkpoint::TrainingState& state) {
  const auto steps = state.extra.find(kIntervalStepsField);
  const auto loss = state.extra.find(kIntervalLossField);
  if (steps == state.extra.end() || loss == state.extra.end()) return;
  interval_steps_ = std::stoll(steps->second);
  interval_loss_ = std::stod(loss->second);
  const auto rewards = state.extra.find(kIntervalRewardsField);
  if (rewards == state.extra.end()) return;
  std::istringstream text(rewards->second);
  text >> interval_rewards_.chosen >> interval_rewards_.rejected >>
      interval_rewards_.accuracy;
}

void Trainer::print_banner() const {
  const auto& config = *description_.config;
  const bool bf16 = weights_dtype(deck_.model, config) == at::kBFloat16;
  log::info(cat("model   ", config.family(), ", ",
                human_count(static_cast<double>(config.parameters())), " parameters, ",
                bf16 ? "bfloat16" : "float32", ", from ", description_.path));
  for (const auto& remark : remarks_on(description_, deck_.model.dtype))
    log::info("note    " + remark);
  log::info(cat("layout  ", session_.world_size(),
                " ranks: ", layout_name(deck_.parallel, session_.world_size())));
  log::info(cat("data    ", stores_.train, ": ", train_store_->num_samples(),
                " samples, ",
                human_count(static_cast<double>(train_store_->num_tokens())), " tokens"));
  log::info(cat("order   ", describe_compat(deck_, padding_)));
  log::info(cat("steps   ", step_, " of ", total_steps_, " done; ",
                loader_->sampler().global_batch_size(),
                preference_ ? " pairs a step, " : " samples a step, ",
                loader_->sampler().steps_per_epoch(), " steps an epoch"));
  if (!device_.is_cpu()) {
    log::info(cat("device  ", device_.str(), "; attention: ",
                  kernels::describe_attention(
                      attention_backend(deck_.kernels.attention_backend), device_,
                      model_->buffer().dtype(), config.head_dim())));
  }
  if (resume_from_) log::info(cat("resumed from ", resume_from_->string()));
}

}  // namespace mtrain::train
