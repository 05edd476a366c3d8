// Owns the end of a run and the place in its schedule; the trainer asks when it starts,
// when it resumes and in each step.
#include "course.hpp"

#include <cmath>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

data::Sampler with_batch(const data::Sampler& sampler, int64_t batch) {
  data::SamplerOptions options = sampler.options();
  // Data that shrank may have no step of that size.
  if (batch > options.num_samples) return sampler;
  options.per_device_train_batch_size = batch;
  options.gradient_accumulation_steps = options.dp_size = 1;
  return data::Sampler(options);
}

}  // namespace

Course::Course(const config::Train& train, const data::Sampler& sampler,
               int64_t first_batch)
    : max_steps_(train.max_steps),
      epochs_(train.num_train_epochs),
      sampler_(sampler),
      unit_(with_batch(sampler, first_batch)) {
  constexpr double kMostSamples = 9e15;  // doubles count so far
  const auto samples = static_cast<double>(sampler.options().num_samples);
  if (max_steps_ >= 0 || epochs_ * samples < kMostSamples) return;
  throw UserError(
      cat("num_train_epochs = ", epochs_, " of ", sampler.options().num_samples,
          " samples are more than can be counted"),
      "write a smaller num_train_epochs, or max_steps");
}

int64_t Course::steps_of_epochs(const data::Sampler& sampler) const {
  const auto per_epoch = static_cast<double>(sampler.steps_per_epoch());
  return static_cast<int64_t>(std::ceil(epochs_ * per_epoch));
}

int64_t Course::total_steps(int64_t step, int64_t cursor) const {
  if (max_steps_ >= 0) return max_steps_;
  const int64_t end = sampler_.cursor_of_step(steps_of_epochs(sampler_));
  return step + sampler_.steps_until(cursor, end);
}

int64_t Course::schedule_steps() const {
  return max_steps_ >= 0 ? max_steps_ : steps_of_epochs(unit_);
}

double Course::schedule_position(int64_t step, int64_t cursor) const {
  return max_steps_ >= 0 ? static_cast<double>(step) : unit_.steps_done(cursor);
}

}  // namespace mtrain::train
