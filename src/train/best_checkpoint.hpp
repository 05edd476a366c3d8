// When a run evaluates and saves, and which of its checkpoints is the best.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// Whether a checkpoint is due after `step` by save_strategy; that of the end is not
/// asked for here.
bool save_is_due(const config::Checkpoint& options, int64_t step, bool ends_epoch);
/// Likewise an evaluation by eval_strategy.
bool evaluation_is_due(const config::Log& options, int64_t step, bool ends_epoch);

/// Step of the best checkpoint in a checkpoint's TrainingState::extra, if it names one.
std::optional<int64_t> best_step(const std::map<std::string, std::string>& extra);

/// Follows the evaluations of saved steps, for load_best_model_at_end.
class BestCheckpoint {
 public:
  explicit BestCheckpoint(const config::Checkpoint& options) : options_(options) {}

  /// Takes on what the run knew that is resumed.
  void resume(const std::map<std::string, std::string>& extra);
  /// The evaluation of a step that is about to be saved; NaN where it was given up.
  void judge(int64_t step, double loss);
  /// Notes the best one in a checkpoint.
  void note(std::map<std::string, std::string>& extra) const;

  std::optional<int64_t> step() const { return step_; }
  double loss() const { return loss_; }

 private:
  const config::Checkpoint& options_;
  std::optional<int64_t> step_;
  double loss_ = 0;
};

}  // namespace mtrain::train
