// How long a schedule takes, simulated without running it.
#pragma once

#include <functional>
#include <vector>

#include "mtrain/parallel/schedule.hpp"

namespace mtrain::parallel {

/// Seconds of one pass of a chunk on a stage.
using PassSeconds = std::function<double(int stage, int chunk, Direction direction)>;

struct ScheduleTime {
  double seconds;            ///< from the first pass of any stage to the end of the last
  std::vector<double> busy;  ///< of each stage, in its passes

  /// Mean over the stages of the share of the time in which they run no pass.
  double idle_share() const;
};

/// Runs the training schedules of all stages against each other: a pass starts when its
/// stage is free and its input has come, `transfer` seconds after the sender's pass.
ScheduleTime simulate(const ScheduleShape& shape, const PassSeconds& pass,
                      double transfer);

}  // namespace mtrain::parallel
