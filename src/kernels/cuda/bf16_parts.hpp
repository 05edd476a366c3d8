// fp32 values as sums of bf16 ones, so that the matrix units multiply them exactly.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels::cuda {

/// Three parts of 8 significant bits hold the 24 of fp32.
constexpr int kBf16Parts = 3;

/// fp32 [T, C] to bf16 [T, 3 C]: the columns' largest parts, then the next, then the
/// rest.
at::Tensor bf16_parts(const at::Tensor& x);

}  // namespace mtrain::kernels::cuda
