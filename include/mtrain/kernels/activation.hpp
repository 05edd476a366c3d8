// SwiGLU: silu(gate) * up over a fused row [gate | up].
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// [T, 2F] -> [T, F]: silu(x[:, :F]) * x[:, F:], computed in fp32, rounded to x's dtype
/// once.
at::Tensor swiglu_forward(const at::Tensor& gate_up);

/// Gradient of the fused row [T, 2F].
at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up);

struct SwigluGrad {
  at::Tensor dgate_up;  ///< [T, 2F]
  at::Tensor y_TF;      ///< the forward's result again
};

/// As swiglu_backward, and the forward's result in the same pass: what is kept of the
/// layer is gate_up alone.
SwigluGrad swiglu_backward_recompute(const at::Tensor& dy_TF, const at::Tensor& gate_up);

}  // namespace mtrain::kernels
