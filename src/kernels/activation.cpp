// Owns SwiGLU: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/activation.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "device.hpp"

namespace mtrain::kernels {
namespace {

void check_gate_up(const at::Tensor& gate_up) {
  require(gate_up, require_activation(gate_up, "swiglu: gate_up"), {-1, -1},
          "swiglu: gate_up");
  MT_CHECK(gate_up.size(1) % 2 == 0, "swiglu: row of ", gate_up.size(1),
           " is not [gate | up]");
}

void check_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up) {
  check_gate_up(gate_up);
  require(dy_TF, gate_up.scalar_type(), {gate_up.size(0), gate_up.size(1) / 2},
          "swiglu: dy");
}

}  // namespace

at::Tensor swiglu_forward(const at::Tensor& gate_up) {
  check_gate_up(gate_up);
  at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  MT_LOOPS(gate_up, swiglu_forward)(gate_up, y);
  return y;
}

at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up) {
  check_backward(dy_TF, gate_up);
  at::Tensor dgate_up = at::empty_like(gate_up), no_y;
  MT_LOOPS(dy_TF, swiglu_backward)(dy_TF, gate_up, dgate_up, no_y);
  return dgate_up;
}

SwigluGrad swiglu_backward_recompute(const at::Tensor& dy_TF, const at::Tensor& gate_up) {
  check_backward(dy_TF, gate_up);
  SwigluGrad grad{at::empty_like(gate_up), at::empty_like(dy_TF)};
  MT_LOOPS(dy_TF, swiglu_backward)(dy_TF, gate_up, grad.dgate_up, grad.y_TF);
  return grad;
}

}  // namespace mtrain::kernels
