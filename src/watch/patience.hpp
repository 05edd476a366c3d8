// How long a rank may stay without progress: learned from what it did before.
#pragma once

#include <array>

#include "mtrain/base/activity.hpp"

namespace mtrain::watch {

/// One rank's view; told at regular looks where the main thread is.
class Patience {
 public:
  explicit Patience(double floor) : floor_(floor) {}
  void set_floor(double floor) { floor_ = floor; }

  /// `seconds` since the last look, at most a few intervals: time in which the helper
  /// itself did not run (a suspended job) does not count.
  void look(const Activity& activity, double seconds);

  /// Seconds the main thread has shown no progress.
  double idle() const { return idle_; }
  /// How long it may: five times the longest step (evaluation, save) seen, at least the
  /// floor. Before the first of its kind has ended, ten floors, of a save thirty. Without
  /// limit in set-up, which may read data for hours.
  double limit() const;

 private:
  double floor_;
  double idle_ = 0, in_this_ = 0;  ///< in_this_: since this step or phase began
  int64_t ticks_ = -1, step_ = 0;
  Phase phase_ = Phase::kSetup;
  std::array<double, kPhases> longest_{};  ///< 0: none has ended
};

/// How long a rank whose own limit is `limit` may say nothing at all. Its helper thread
/// speaks whatever the main thread is busy with, so in set-up there is a limit, too.
double silence_limit(double floor, double limit);

}  // namespace mtrain::watch
