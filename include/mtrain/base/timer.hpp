// A stopwatch over the monotonic clock.
#pragma once

#include <chrono>

namespace mtrain {

class Stopwatch {
 public:
  Stopwatch() : start_(Clock::now()) {}
  /// Seconds since construction or the last restart.
  double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }
  /// Seconds since the last restart; starts anew.
  double restart() {
    const double elapsed = seconds();
    start_ = Clock::now();
    return elapsed;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
};

/// Seconds of the monotonic clock, since some moment in the past.
inline double monotonic_seconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Seconds since the operating system started this process, to 1/100 s; 0 where it does
/// not tell (no /proc).
double seconds_since_process_start();

}  // namespace mtrain
