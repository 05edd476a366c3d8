// Learning rate of each update.
#pragma once

#include <cstdint>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// The schedules of Hugging Face's get_scheduler, as pure functions of the update index.
class LrSchedule {
 public:
  /// `total` updates; warm-up is warmup_steps, or ceil(total * warmup_ratio) when that is
  /// 0.
  LrSchedule(const config::Optimizer& options, int64_t total);

  /// Learning rate of update `index`, counted from 0: warm-up begins at 0.
  double rate(int64_t index) const { return options_.learning_rate * factor(index); }

 private:
  double factor(int64_t index) const;
  double stable_decay_factor(int64_t index) const;

  config::Optimizer options_;
  int64_t total_;
  int64_t warmup_;
};

}  // namespace mtrain::train
