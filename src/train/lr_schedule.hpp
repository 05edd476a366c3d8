// Learning rate of each update.
#pragma once

#include <cstdint>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// The schedules of Hugging Face's get_scheduler, as pure functions of the update index,
/// which lies between two where a run went on with another global batch.
class LrSchedule {
 public:
  /// `total` updates; warm-up is warmup_steps, or ceil(total * warmup_ratio) when that is
  /// 0.
  LrSchedule(const config::Optimizer& options, int64_t total);

  /// Learning rate of update `index`, counted from 0: warm-up begins at 0.
  double rate(double index) const { return options_.learning_rate * factor(index); }

 private:
  double factor(double index) const;
  double stable_decay_factor(double index) const;

  config::Optimizer options_;
  double total_;
  double warmup_;
};

}  // namespace mtrain::train
