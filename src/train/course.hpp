// How far a run is: its end and its learning rate by the samples it has seen.
#pragma once

#include <cstdint>

#include "mtrain/config/deck.hpp"
#include "mtrain/data/sampler.hpp"

namespace mtrain::train {

/// Where the run ends and where its schedule stands, at a step and a cursor that a run
/// with another global batch may have reached.
///
/// With num_train_epochs both go by samples: the run ends with its last epoch however
/// many steps that takes, and the learning rate of a sample is what it would be with the
/// batch the run began with, whose steps are the unit of the schedule (of its warm-up,
/// too). With max_steps steps are the measure of both.
class Course {
 public:
  /// `first_batch`: samples of a step when the run began. UserError when the epochs are
  /// more than can be counted.
  Course(const config::Train& train, const data::Sampler& sampler, int64_t first_batch);

  /// Steps of the whole run that has done `step` steps and stands at `cursor`.
  int64_t total_steps(int64_t step, int64_t cursor) const;
  /// Steps of the schedule, and the one due.
  int64_t schedule_steps() const;
  double schedule_position(int64_t step, int64_t cursor) const;

  /// Samples of a step when the run began.
  int64_t first_batch() const { return unit_.global_batch_size(); }

 private:
  int64_t steps_of_epochs(const data::Sampler& sampler) const;

  int64_t max_steps_;  ///< -1: the epochs decide
  double epochs_;
  const data::Sampler& sampler_;
  data::Sampler unit_;  ///< with the first batch
};

}  // namespace mtrain::train
