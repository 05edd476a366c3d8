// Descriptions of tensors in global memory for Hopper's copy engine.
#pragma once

#include <ATen/core/Tensor.h>
#include <cuda.h>

#include <initializer_list>

namespace mtrain::kernels::cuda {

/// Boxes of a contiguous tensor (bf16 or fp32) of two or three dimensions, sizes from the
/// last dimension to the first, the last 128 bytes: rows of that size in shared memory,
/// swizzled. What a box holds beyond the tensor arrives as zeros.
CUtensorMap tensor_map(const at::Tensor& x, std::initializer_list<uint32_t> box);

}  // namespace mtrain::kernels::cuda
