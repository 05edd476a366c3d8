// What a run tells its user: trainer_log.jsonl, progress lines, run_summary.json.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "console.hpp"
#include "mtrain/base/journal.hpp"
#include "mtrain/report/tensorboard.hpp"
#include "step_figures.hpp"

namespace mtrain::train {

/// What a run writes beside trainer_log.jsonl.
struct LogOptions {
  bool tensorboard, pictures;
};

/// Where wall time went, by cause, in seconds.
using TimeByCause = std::map<std::string, double>;

/// The step that run_summary.json of `output_dir` names, if there is one. The summary is
/// written last of all: results of that step are whole.
std::optional<int64_t> summarised_step(const std::filesystem::path& output_dir);

/// Writes on rank 0; on other ranks every call does nothing.
class RunLog {
 public:
  /// `append`: a resumed run continues trainer_log.jsonl, dropping lines after
  /// `from_step`.
  RunLog(const std::filesystem::path& output_dir, bool writes, int64_t from_step,
         const LogOptions& options);

  /// Removes the summary of an earlier run in the folder, which training makes untrue.
  void forget_summary();
  /// A step is settled, be it a logging step or not.
  void moved(int64_t step, int64_t total_steps);
  void step(const StepFigures& figures);
  /// `rewards`: of preference training, whose loss has no perplexity.
  void evaluation(int64_t step, int64_t total_steps, double loss,
                  const std::optional<Rewards>& rewards, double seconds);
  /// Draws the pictures anew, if they are wanted; one that cannot be written is a
  /// warning.
  void draw() const;
  /// Tries once more to write what the disk had no room for; throws Error where a row or
  /// event is still missing.
  void require_whole();
  /// Writes run_summary.json; throws Error when it can't. `ranks`: times of all steps.
  void summary(const std::string& result, const StepFigures& last,
               const TimeByCause& times, const RankTimes& ranks,
               const std::vector<int64_t>& peak_memory_per_rank, double final_eval_loss);

 private:
  void to_tensorboard(const StepFigures& figures);
  /// Adds a row; says once when rows have to wait for room.
  void add_row(const std::string& row);

  std::filesystem::path output_dir_;
  bool writes_;
  LogOptions options_;
  std::optional<Journal> rows_;
  bool told_ = false;  ///< that rows wait
  std::optional<report::TensorBoardWriter> tensorboard_;
  std::optional<RouterReport> router_;  ///< the last one
  Console console_;
};

}  // namespace mtrain::train
