// What happens to steps whose loss or gradient norm is not finite.
#pragma once

#include <cstdint>
#include <string>

#include "mtrain/config/deck.hpp"
#include "mtrain/parallel/param_buffer.hpp"

namespace mtrain::train {

/// Judges steps by their figures, in order; these may come later than the step itself.
/// Keeps the count of updates applied, which AdamW's bias correction and checkpoints
/// need.
class StepGuard {
 public:
  /// `updates`: applied before the first step it sees.
  StepGuard(const config::Train& options, int64_t updates)
      : on_nonfinite_(options.on_nonfinite_step),
        limit_(options.max_nonfinite_steps),
        updates_(updates) {}

  /// True when both are finite: the step counts as applied. Otherwise the step must not
  /// be (or was not) applied: a warning says so with `where`, the place if known. Throws
  /// Error where the deck says stop, or after max_nonfinite_steps such steps in a row.
  /// The same on all ranks if the figures are.
  bool accepts(int64_t step, double loss, double norm, const std::string& where);

  int64_t updates() const { return updates_; }
  int64_t skipped() const { return skipped_; }

 private:
  config::NonFiniteStep on_nonfinite_;
  int64_t limit_;
  int64_t updates_;
  int64_t skipped_ = 0, in_a_row_ = 0;
};

/// The parameter of `buffer` whose gradient became not finite first in the backward pass,
/// or "". Reads all gradients: for faults only.
std::string first_nonfinite_gradient(const parallel::ParamBuffer& buffer);

/// One text for all ranks from first_nonfinite_gradient() of each: "rank 3: layers.2...".
std::string nonfinite_places(const std::vector<std::string>& per_rank);

}  // namespace mtrain::train
