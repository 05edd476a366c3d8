// Brings a step's totals to the host through pinned memory; used by the trainer.
#include "late_totals.hpp"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>

#include "mtrain/base/error.hpp"

namespace mtrain::train {

LateTotals::LateTotals(const parallel::StepTotals& totals) : host_(totals) {
  const at::Device device = totals.values.device();
  if (device.is_cpu()) return;
  host_.values = at::empty(totals.values.sizes(),
                           at::TensorOptions().dtype(at::kDouble).pinned_memory(true));
  host_.values.copy_(totals.values, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(at::accelerator::getCurrentStream(device.index()));
}

const parallel::StepTotals& LateTotals::arrived() {
  if (arrived_) arrived_->synchronize();
  return host_;
}

double LateTotals::loss() {
  return arrived().loss();
}

double LateTotals::gradient_norm() {
  return arrived().gradient_norm();
}

double LateTotals::further(int64_t i) {
  MT_CHECK(2 + i < host_.values.numel());
  return arrived().values[2 + i].item<double>();
}

}  // namespace mtrain::train
