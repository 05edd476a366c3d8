// The figures of a logging step, which console, log file and event files tell.
#pragma once

#include <cstdint>
#include <optional>

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

}  // namespace mtrain::train
