// Loss and gradient norm of a step on the host, without waiting for the device at once.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>

#include "mtrain/parallel/optimizer.hpp"

namespace mtrain::train {

/// A copy of a step's totals on its way to the host. On a GPU it is started behind the
/// step's work, so reading it waits for the step; the trainer reads it one step late.
class LateTotals {
 public:
  explicit LateTotals(const parallel::StepTotals& totals);

  /// All wait until the step is complete.
  double loss();
  double gradient_norm();
  /// Figure i of those summed beside the loss.
  double further(int64_t i);

 private:
  const parallel::StepTotals& arrived();

  parallel::StepTotals host_;
  std::optional<c10::Event> arrived_;
};

}  // namespace mtrain::train
