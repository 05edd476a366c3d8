// What a run tells its user: trainer_log.jsonl, progress lines, run_summary.json.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/base/timer.hpp"
#include "mtrain/report/tensorboard.hpp"
#include "rank_times.hpp"
#include "router_log.hpp"

namespace mtrain::train {

/// Figures of preference training, means over pairs.
struct Rewards {
  double chosen, rejected;
  double accuracy;  ///< share of pairs whose chosen answer has the larger reward
};

/// Figures of one logging step, as contract and docs/training.md name them.
struct StepFigures {
  int64_t step, total_steps;
  double epoch;
  double loss;
  double grad_norm;
  double learning_rate;
  int64_t tokens;                      ///< since step 1
  double tokens_per_second;            ///< of the logging interval, all ranks together
  double tflops_per_rank;              ///< training flops by ModelConfig::flops_per_token
  int64_t peak_memory_bytes;           ///< of rank 0, so far
  std::optional<Rewards> rewards;      ///< of preference training
  std::optional<RouterReport> router;  ///< of models with experts
  std::optional<RankTimes> times;      ///< of the logging interval's steps
};

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

  void step(const StepFigures& figures);
  /// `rewards`: of preference training, whose loss has no perplexity.
  void evaluation(int64_t step, int64_t total_steps, double loss,
                  const std::optional<Rewards>& rewards, double seconds);
  /// Draws the pictures anew, if they are wanted.
  void draw() const;
  /// Writes run_summary.json. `ranks`: times of all steps.
  void summary(const std::string& result, const StepFigures& last,
               const TimeByCause& times, const RankTimes& ranks,
               const std::vector<int64_t>& peak_memory_per_rank, double final_eval_loss);

 private:
  void to_tensorboard(const StepFigures& figures);
  void progress(const StepFigures& figures, double elapsed, double remaining);

  std::filesystem::path output_dir_;
  bool writes_;
  bool terminal_;
  int64_t from_step_;
  LogOptions options_;
  std::ofstream log_;
  std::optional<report::TensorBoardWriter> tensorboard_;
  std::optional<RouterReport> router_;  ///< the last one
  Stopwatch since_start_;
};

}  // namespace mtrain::train
