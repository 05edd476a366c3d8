// The three matrix products of a linear layer. Weights are stored [out, in], as in HF.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// y[T, out] = x[T, in] * w[out, in]^T, in x's dtype with fp32 accumulation.
at::Tensor linear_forward(const at::Tensor& x, const at::Tensor& weight);

/// As linear_forward into a buffer of the caller, which keeps its storage.
void linear_forward_out(at::Tensor& y, const at::Tensor& x, const at::Tensor& weight);

/// dx[T, in] = dy[T, out] * w[out, in].
at::Tensor linear_backward_input(const at::Tensor& dy, const at::Tensor& weight);

/// As linear_backward_input into a buffer of the caller, which keeps its storage.
void linear_backward_input_out(at::Tensor& dx, const at::Tensor& dy,
                               const at::Tensor& weight);

/// What becomes of the values a gradient buffer holds.
enum class Accumulate {
  kAdd,
  kOverwrite,  ///< they are of an earlier step; saves zeroing them
};

/// grad[out, in] += (or =) dy[T, out]^T * x[T, in], accumulated in fp32 whatever the
/// dtypes of dy and x, which may differ.
void linear_backward_weight(at::Tensor& grad_fp32, const at::Tensor& dy,
                            const at::Tensor& x, Accumulate accumulate);

/// y[T, out] = x[T, in] * w[out, in]^T in fp32, whatever the dtype of x and w.
at::Tensor linear_forward_fp32(const at::Tensor& x, const at::Tensor& weight);

/// dx[T, in] += dy[T, out] * w[out, in] for dy in fp32, rounded once to the dtype of dx.
void linear_backward_input_fp32(at::Tensor& dx, const at::Tensor& dy_fp32,
                                const at::Tensor& weight);

}  // namespace mtrain::kernels
