// Learns how long steps and other phases take; used by every rank's helper thread.
#include "patience.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mtrain::watch {

void Patience::look(const Activity& activity, double seconds) {
  const auto [ticks, phase, step] = activity.progress();
  idle_ = ticks == ticks_ ? idle_ + seconds : 0;
  in_this_ += seconds;
  ticks_ = ticks;
  if (phase == phase_ && step == step_) return;
  double& longest = longest_[static_cast<size_t>(phase_)];
  longest = std::max(longest, in_this_);
  in_this_ = 0;
  phase_ = phase;
  step_ = step;
}

double Patience::limit() const {
  constexpr double kSlower = 5, kUnknown = 10, kUnknownSave = 30;
  if (phase_ == Phase::kSetup) return std::numeric_limits<double>::infinity();
  const double longest = longest_[static_cast<size_t>(phase_)];
  const bool saves = phase_ == Phase::kSave || phase_ == Phase::kFinish;
  if (longest == 0) return floor_ * (saves ? kUnknownSave : kUnknown);
  return std::max(floor_, kSlower * longest);
}

double silence_limit(double floor, double limit) {
  constexpr double kInSetup = 2;
  return std::max(floor, std::isfinite(limit) ? limit : kInSetup * floor);
}

}  // namespace mtrain::watch
