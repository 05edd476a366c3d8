// Owns the events that time steps; the trainer measures logging intervals with them.
#include "moment.hpp"

#include <ATen/DeviceAccelerator.h>

#include "mtrain/base/timer.hpp"

namespace mtrain::train {

Moment::Moment(at::Device device) : host_(monotonic_seconds()) {
  if (device.is_cpu()) return;
  reached_.emplace(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  reached_->record(at::accelerator::getCurrentStream(device.index()));
}

double Moment::seconds_since(const Moment& earlier) const {
  if (!reached_) return host_ - earlier.host_;
  reached_->synchronize();
  earlier.reached_->synchronize();
  return earlier.reached_->elapsedTime(*reached_) / 1e3;
}

}  // namespace mtrain::train
