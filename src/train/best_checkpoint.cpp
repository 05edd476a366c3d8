// Owns the occasions of saves and evaluations and the choice of the best checkpoint; the
// trainer asks after each step.
#include "best_checkpoint.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "mtrain/base/text.hpp"

namespace mtrain::train {
namespace {

constexpr char kStepField[] = "best_step";
constexpr char kLossField[] = "best_eval_loss";

bool is_due(config::Strategy strategy, int64_t every, int64_t step, bool ends_epoch) {
  switch (strategy) {
    case config::Strategy::kNo:
      return false;
    case config::Strategy::kSteps:
      return every > 0 && step % every == 0;
    case config::Strategy::kEpoch:
      return ends_epoch;
  }
  return false;
}

}  // namespace

bool save_is_due(const config::Checkpoint& options, int64_t step, bool ends_epoch) {
  return is_due(options.save_strategy, options.save_steps, step, ends_epoch);
}

bool evaluation_is_due(const config::Log& options, int64_t step, bool ends_epoch) {
  const int64_t every = options.eval_steps.value_or(options.logging_steps);
  return is_due(options.eval_strategy, every, step, ends_epoch);
}

std::optional<int64_t> best_step(const std::map<std::string, std::string>& extra) {
  const auto found = extra.find(kStepField);
  if (found == extra.end()) return {};
  const std::string& text = found->second;
  int64_t step = -1;
  const auto fault = std::from_chars(text.data(), text.data() + text.size(), step).ec;
  return fault == std::errc() && step >= 0 ? std::optional(step) : std::nullopt;
}

void BestCheckpoint::resume(const std::map<std::string, std::string>& extra) {
  const auto loss = extra.find(kLossField);
  if (!options_.load_best_model_at_end || loss == extra.end()) return;
  step_ = best_step(extra);
  loss_ = std::strtod(loss->second.c_str(), nullptr);
}

void BestCheckpoint::judge(int64_t step, double loss) {
  if (!options_.load_best_model_at_end || !std::isfinite(loss)) return;
  const bool greater = options_.greater_is_better.value_or(false);
  if (step_ && (greater ? loss <= loss_ : loss >= loss_)) return;
  step_ = step;
  loss_ = loss;
}

void BestCheckpoint::note(std::map<std::string, std::string>& extra) const {
  if (!step_) return;
  extra[kStepField] = cat(*step_);
  extra[kLossField] = formatted("%.17g", loss_);
}

}  // namespace mtrain::train
