// What every operator checks before it touches memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>

#include "mtrain/base/error.hpp"

namespace mtrain::kernels {

/// Checks that x is defined, contiguous, of this dtype and of these sizes (-1: any).
void require(const at::Tensor& x, at::ScalarType dtype,
             std::initializer_list<int64_t> sizes, const char* what);

/// Checks that x is float32 or bfloat16, and returns which.
at::ScalarType require_activation(const at::Tensor& x, const char* what);

}  // namespace mtrain::kernels
