// Learning-rate schedules; the trainer asks once per update.
#include "lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

double ratio(double part, double whole) {
  return part / std::max(1.0, whole);
}

/// Half a cosine wave from 1 to 0.
double cosine(double progress) {
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

double decay(config::DecayStyle style, double progress) {
  switch (style) {
    case config::DecayStyle::kLinear:
      return 1.0 - progress;
    case config::DecayStyle::kCosine:
      return cosine(progress);
    case config::DecayStyle::kOneMinusSqrt:
      return 1.0 - std::sqrt(progress);
  }
  return 0.0;
}

}  // namespace

LrSchedule::LrSchedule(const config::Optimizer& options, int64_t total)
    : options_(options),
      total_(static_cast<double>(total)),
      warmup_(static_cast<double>(options.warmup_steps)) {
  if (warmup_ == 0) warmup_ = std::ceil(total_ * options.warmup_ratio);
}

double LrSchedule::factor(double i) const {
  using config::LrScheduler;
  const auto type = options_.lr_scheduler_type;
  if (type == LrScheduler::kConstant) return 1.0;
  if (type == LrScheduler::kWarmupStableDecay) return stable_decay_factor(i);
  if (i < warmup_) return ratio(i, warmup_);
  const double progress = ratio(i - warmup_, total_ - warmup_);
  switch (type) {
    case LrScheduler::kLinear:
      return std::max(0.0, ratio(total_ - i, total_ - warmup_));
    case LrScheduler::kCosine:
      return cosine(progress);
    case LrScheduler::kCosineWithMinLr: {
      const double least = options_.min_lr.value_or(0.0) / options_.learning_rate;
      return cosine(progress) * (1.0 - least) + least;
    }
    case LrScheduler::kInverseSqrt: {
      constexpr double kDefaultTimescale = 10000;
      const double timescale = warmup_ > 0 ? warmup_ : kDefaultTimescale;
      return 1.0 / std::sqrt(ratio(i + timescale - warmup_, timescale));
    }
    default:
      return 1.0;
  }
}

/// Warm-up, then constant, then the last lr_wsd_decay_iters down to min_lr.
double LrSchedule::stable_decay_factor(double i) const {
  const double least = options_.min_lr.value_or(0.0) / options_.learning_rate;
  const auto scaled = [&](double f) { return std::max(0.0, f * (1.0 - least) + least); };
  const auto decay_steps = static_cast<double>(options_.lr_wsd_decay_iters.value_or(0));
  // May lie inside the warm-up; the decay ends with the run all the same.
  const double decay_begin = total_ - decay_steps;
  if (i < warmup_) return scaled(ratio(i, warmup_));
  if (i < decay_begin) return 1.0;
  if (i >= decay_begin + decay_steps) return least;
  return scaled(decay(options_.lr_wsd_decay_style, ratio(i - decay_begin, decay_steps)));
}

}  // namespace mtrain::train
