// Brings a step's totals to the host through pinned memory; used by the trainer.
#include "late_totals.hpp"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>

#include <cmath>

#include "mtrain/base/error.hpp"

namespace mtrain::train {

LateTotals::LateTotals(const parallel::StepTotals& totals) : host_(totals.values) {
  const at::Device device = host_.device();
  if (device.is_cpu()) return;
  host_ = at::empty(totals.values.sizes(),
                    at::TensorOptions().dtype(at::kDouble).pinned_memory(true));
  host_.copy_(totals.values, /*non_blocking=*/true);
  arrived_.emplace(device.type());
  arrived_->record(at::accelerator::getCurrentStream(device.index()));
}

const double* LateTotals::values() {
  if (arrived_) arrived_->synchronize();
  return host_.const_data_ptr<double>();
}

double LateTotals::loss() {
  return values()[0];
}

double LateTotals::gradient_norm() {
  return std::sqrt(values()[1]);
}

double LateTotals::further(int64_t i) {
  MT_CHECK(2 + i < host_.numel());
  return values()[2 + i];
}

}  // namespace mtrain::train
