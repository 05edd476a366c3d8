// Figures of a step on the host, without waiting for the device at once.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>

namespace mtrain::train {

/// A copy of a tensor on its way to the host. On a GPU it is started behind the work at
/// hand, so reading it waits for that; the trainer reads a step's figures one step late.
class LateCopy {
 public:
  LateCopy() = default;
  explicit LateCopy(const at::Tensor& figures);

  /// Waits until it is there; undefined where nothing was copied.
  const at::Tensor& arrived();

 private:
  at::Tensor host_;
  std::optional<c10::Event> arrived_;
};

}  // namespace mtrain::train
