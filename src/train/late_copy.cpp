// Brings a step's figures to the host through pinned memory; used by the trainer.
#include "late_copy.hpp"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>

namespace mtrain::train {

LateCopy::LateCopy(const at::Tensor& figures) : host_(figures) {
  const at::Device device = figures.device();
  if (device.is_cpu()) return;
  host_ = at::empty(figures.sizes(),
                    at::TensorOptions(figures.scalar_type()).pinned_memory(true));
  host_.copy_(figures, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(at::accelerator::getCurrentStream(device.index()));
}

const at::Tensor& LateCopy::arrived() {
  if (arrived_) arrived_->synchronize();
  return host_;
}

}  // namespace mtrain::train
