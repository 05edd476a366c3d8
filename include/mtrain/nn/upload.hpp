// From values on the host to a tensor on the device, without waiting.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace mtrain::nn {

/// A copy of the values on the device. From pinned memory, so that the host does not wait
/// for the transfer.
template <class T>
at::Tensor upload(const std::vector<T>& values, at::Device device) {
  const auto size = static_cast<int64_t>(values.size());
  const auto type = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
  const at::Tensor host = at::empty({size}, type.pinned_memory(!device.is_cpu()));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  return host.to(device, /*non_blocking=*/true);
}

}  // namespace mtrain::nn
