// The feed-forward network of several experts at once, over rows sorted by expert.
// Legend: N rows, E experts, I features in, O features out, F ffn.
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/kernels/linear.hpp"

namespace mtrain::kernels {

/// y[n] = x[n] * w[e]^T, e the expert of row n: rows [ends[e-1], ends[e]). ends int32.
/// An expert may have no rows.
at::Tensor grouped_linear_forward(const at::Tensor& x_NI, const at::Tensor& weight_EOI,
                                  const at::Tensor& ends_E);

/// dx[n] = dy[n] * w[e].
at::Tensor grouped_linear_backward_input(const at::Tensor& dy_NO,
                                         const at::Tensor& weight_EOI,
                                         const at::Tensor& ends_E);

/// grad[e] += (or =) the sum of dy[n]^T x[n] over the rows of e, in fp32.
void grouped_linear_backward_weight(at::Tensor& grad_EOI, const at::Tensor& dy_NO,
                                    const at::Tensor& x_NI, const at::Tensor& ends_E,
                                    Accumulate accumulate);

/// SwiGLU over fused rows [gate | up], each row times its weight (fp32): [N, 2F] -> [N,
/// F], computed in fp32 and rounded once. The weight of a row multiplies the expert's
/// output; in front of the last, linear product it costs less.
at::Tensor weighted_swiglu_forward(const at::Tensor& gate_up, const at::Tensor& weight_N);

struct WeightedSwigluGrad {
  at::Tensor dgate_up;   ///< [N, 2F]
  at::Tensor dweight_N;  ///< fp32
  at::Tensor y_NF;       ///< the forward's result again
};
WeightedSwigluGrad weighted_swiglu_backward(const at::Tensor& dy_NF,
                                            const at::Tensor& gate_up,
                                            const at::Tensor& weight_N);

}  // namespace mtrain::kernels
