// RMSNorm, alone or fused with the residual addition before it.
// Legend: T tokens, H hidden, N query heads, K key/value heads, D head dim, F ffn, V
// vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

struct RmsNorm {
  at::Tensor y_TH;  ///< normalised and weighted, dtype of x
  at::Tensor
      rstd_T;  ///< fp32 reciprocal root mean square of each row, kept for the backward
};

/// y = weight * cast(x * rsqrt(mean(x^2) + eps)), mean and product in fp32, cast to x's
/// dtype before the weight (the order of casts of HF's Qwen3RMSNorm). x_TH contiguous.
RmsNorm rms_norm_forward(const at::Tensor& x_TH, const at::Tensor& weight_H, double eps);

struct AddRmsNorm {
  at::Tensor sum_TH;  ///< residual + delta, the new residual stream
  at::Tensor y_TH;
  at::Tensor rstd_T;
};

/// As rms_norm_forward of (residual + delta), in one pass; the sum is rounded to its
/// dtype first.
AddRmsNorm add_rms_norm_forward(const at::Tensor& residual_TH, const at::Tensor& delta_TH,
                                const at::Tensor& weight_H, double eps);

/// y from a kept rstd: what selective recompute does instead of keeping y.
at::Tensor rms_norm_apply(const at::Tensor& x_TH, const at::Tensor& weight_H,
                          const at::Tensor& rstd_T);

/// dx of rms_norm_forward, plus `dresidual_TH` (the gradient arriving over the residual
/// branch) when that is defined: returns dresidual + dx in x's dtype. Adds the weight's
/// gradient to `dweight_H` (fp32, accumulated in place).
at::Tensor rms_norm_backward(const at::Tensor& dy_TH, const at::Tensor& x_TH,
                             const at::Tensor& weight_H, const at::Tensor& rstd_T,
                             const at::Tensor& dresidual_TH, at::Tensor& dweight_H);

}  // namespace mtrain::kernels
