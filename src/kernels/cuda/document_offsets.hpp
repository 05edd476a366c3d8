// Where each packed document starts in each tensor, computed on the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "mtrain/kernels/attention.hpp"

namespace mtrain::kernels::cuda {

/// int32 [documents + 1] on `device`: documents.offsets_on_device, or where the caller
/// left it out (tests), a copy made now, which waits for the device.
at::Tensor device_offsets(const Documents& documents, at::Device device);

/// For `batch` entries, of which the first documents.count() are documents and the others
/// are empty: their lengths, and for each of `rows` (a tensor's elements per token) where
/// they start.
struct RaggedOffsets {
  at::Tensor lengths_B;   ///< int32
  at::Tensor starts_RB1;  ///< int64 [rows, batch + 1], each row 16-byte aligned
};
RaggedOffsets ragged_offsets(const at::Tensor& offsets, int64_t batch,
                             const std::vector<int64_t>& rows);

}  // namespace mtrain::kernels::cuda
