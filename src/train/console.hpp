// What a run tells the person who watches it, step by step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mtrain/base/timer.hpp"
#include "step_figures.hpp"

namespace mtrain::train {

/// A line per logging step, which stays, and on a terminal a bar below that moves each
/// step. Lines on a terminal fit into 80 columns.
class Console {
 public:
  /// `from_step`: steps done when this process began.
  explicit Console(int64_t from_step);

  /// Another step is settled; the last figures known go with it.
  void moved(int64_t step, int64_t total_steps);
  void step(const StepFigures& figures);
  void evaluation(int64_t step, double loss, const std::optional<Rewards>& rewards);
  /// Takes the bar away.
  void end();

  double elapsed() const { return since_start_.seconds(); }
  /// Seconds left at the pace since the start.
  double remaining(int64_t step, int64_t total_steps) const;

 private:
  std::vector<std::string> fields(const StepFigures& figures) const;

  bool terminal_;
  int64_t from_step_;
  double tokens_per_second_ = 0;  ///< of the last logging interval
  Stopwatch since_start_;
};

}  // namespace mtrain::train
