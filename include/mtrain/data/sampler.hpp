// Which samples a step trains on: a function of (seed, position), with no state but a
// cursor.
#pragma once

#include <cstdint>
#include <vector>

namespace mtrain::data {

/// Values of the deck keys of the same names. num_samples counts what is drawn: samples,
/// rows of a packed store, or pairs for dpo.
struct SamplerOptions {
  int64_t num_samples;
  bool shuffle;
  uint64_t seed;
  int64_t per_device_train_batch_size;
  int64_t gradient_accumulation_steps;
  int64_t dp_size;
};

/// The order of training. Epoch e takes the samples in the order of Permutation(seed, e,
/// n), or 0, 1, 2... without shuffle; a step takes the next G =
/// per_device_train_batch_size * gradient_accumulation_steps * dp_size of them, and what
/// is left of an epoch when fewer than G remain is dropped, as Megatron-LM does.
///
/// The cursor is one integer: epochs times num_samples plus the offset in the epoch. It
/// starts at 0, and stays valid when a run resumes with another G.
class Sampler {
 public:
  /// UserError when one global batch needs more samples than there are.
  explicit Sampler(const SamplerOptions& options);

  const SamplerOptions& options() const { return options_; }
  int64_t global_batch_size() const { return global_batch_size_; }
  int64_t steps_per_epoch() const;

  /// Indices of the samples of one micro-batch of the step that starts at `cursor`, in
  /// order: positions ((micro_batch * dp_size + dp_rank) * per_device_train_batch_size +
  /// i) of the step.
  std::vector<int64_t> micro_batch(int64_t cursor, int64_t micro_batch,
                                   int64_t dp_rank) const;
  /// Indices of all samples of the step that starts at `cursor`.
  std::vector<int64_t> global_batch(int64_t cursor) const;

  /// The cursor after the step that starts at `cursor`.
  int64_t next(int64_t cursor) const;
  /// The cursor at which step `step` (from 0) of a run that began at cursor 0 starts.
  int64_t cursor_of_step(int64_t step) const;
  /// Steps of this G from cursor 0 to `cursor`, with fraction where others led there.
  double steps_done(int64_t cursor) const;
  /// Steps from `cursor` until the next one would begin at `end` or later; `end` is where
  /// a step of a run from cursor 0 begins.
  int64_t steps_until(int64_t cursor, int64_t end) const;
  /// Whether an epoch ends with the step before `cursor`.
  bool ends_epoch(int64_t cursor) const;
  /// Epochs done at `cursor`, with fraction.
  double epoch(int64_t cursor) const;

 private:
  int64_t start(int64_t cursor) const;
  void append(int64_t position, int64_t count, std::vector<int64_t>& indices) const;

  SamplerOptions options_;
  int64_t global_batch_size_;
};

}  // namespace mtrain::data
