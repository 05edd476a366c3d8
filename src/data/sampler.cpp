// Owns the order of training: cursor arithmetic over epochs; called by the trainer.
#include "mtrain/data/sampler.hpp"

#include <algorithm>

#include "mtrain/base/error.hpp"
#include "mtrain/base/rng.hpp"

namespace mtrain::data {

Sampler::Sampler(const SamplerOptions& options)
    : options_(options),
      global_batch_size_(options.per_device_train_batch_size *
                         options.gradient_accumulation_steps * options.dp_size) {
  MT_CHECK(options.per_device_train_batch_size > 0);
  MT_CHECK(options.gradient_accumulation_steps > 0);
  MT_CHECK(options.dp_size > 0);
  if (global_batch_size_ <= options.num_samples) return;
  throw UserError(
      cat("one step needs ", global_batch_size_, " samples (per_device_train_batch_size ",
          options.per_device_train_batch_size, " x gradient_accumulation_steps ",
          options.gradient_accumulation_steps, " x data-parallel size ", options.dp_size,
          ") but the dataset has ", options.num_samples),
      "lower gradient_accumulation_steps or per_device_train_batch_size, or give more "
      "data");
}

int64_t Sampler::steps_per_epoch() const {
  return options_.num_samples / global_batch_size_;
}

// A step never crosses the end of an epoch: what is left there is dropped.
int64_t Sampler::start(int64_t cursor) const {
  MT_CHECK(cursor >= 0, "cursor ", cursor);
  const int64_t left = options_.num_samples - cursor % options_.num_samples;
  return left < global_batch_size_ ? cursor + left : cursor;
}

void Sampler::append(int64_t position, int64_t count,
                     std::vector<int64_t>& indices) const {
  const int64_t epoch = position / options_.num_samples;
  const int64_t offset = position % options_.num_samples;
  const Permutation order(options_.seed, static_cast<uint64_t>(epoch),
                          options_.num_samples);
  for (int64_t i = offset; i < offset + count; ++i)
    indices.push_back(options_.shuffle ? order(i) : i);
}

std::vector<int64_t> Sampler::micro_batch(int64_t cursor, int64_t micro_batch,
                                          int64_t dp_rank) const {
  MT_CHECK(0 <= micro_batch && micro_batch < options_.gradient_accumulation_steps);
  MT_CHECK(0 <= dp_rank && dp_rank < options_.dp_size);
  const int64_t size = options_.per_device_train_batch_size;
  std::vector<int64_t> indices;
  append(start(cursor) + (micro_batch * options_.dp_size + dp_rank) * size, size,
         indices);
  return indices;
}

std::vector<int64_t> Sampler::global_batch(int64_t cursor) const {
  std::vector<int64_t> indices;
  append(start(cursor), global_batch_size_, indices);
  return indices;
}

int64_t Sampler::next(int64_t cursor) const {
  return start(cursor) + global_batch_size_;
}

int64_t Sampler::cursor_of_step(int64_t step) const {
  const int64_t per_epoch = steps_per_epoch();
  return step / per_epoch * options_.num_samples + step % per_epoch * global_batch_size_;
}

double Sampler::steps_done(int64_t cursor) const {
  const auto per_epoch = static_cast<double>(steps_per_epoch());
  const auto offset = static_cast<double>(cursor % options_.num_samples) /
                      static_cast<double>(global_batch_size_);
  return static_cast<double>(cursor / options_.num_samples) * per_epoch +
         std::min(offset, per_epoch);
}

int64_t Sampler::steps_until(int64_t cursor, int64_t end) const {
  const int64_t first = start(cursor), n = options_.num_samples;
  if (first >= end) return 0;
  const auto whole_up = [&](int64_t samples) {
    return (samples + global_batch_size_ - 1) / global_batch_size_;
  };
  const int64_t epochs = end / n - first / n;
  if (epochs == 0) return whole_up(end - first);
  return (n - first % n) / global_batch_size_ + (epochs - 1) * steps_per_epoch() +
         whole_up(end % n);
}

bool Sampler::ends_epoch(int64_t cursor) const {
  return cursor > 0 && start(cursor) % options_.num_samples == 0;
}

// An epoch is over after its last whole step, whatever is dropped behind it.
double Sampler::epoch(int64_t cursor) const {
  const double used = static_cast<double>(steps_per_epoch() * global_batch_size_);
  const auto offset = static_cast<double>(cursor % options_.num_samples);
  return static_cast<double>(cursor / options_.num_samples) +
         std::min(offset / used, 1.0);
}

}  // namespace mtrain::data
