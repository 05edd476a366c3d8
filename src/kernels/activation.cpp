// Owns SwiGLU: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/activation.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "checks.hpp"
#include "cpu/ops.hpp"

namespace mtrain::kernels {
namespace {

void check_gate_up(const at::Tensor& gate_up) {
  require(gate_up, require_activation(gate_up, "swiglu: gate_up"), {-1, -1},
          "swiglu: gate_up");
  MT_CHECK(gate_up.size(1) % 2 == 0, "swiglu: row of ", gate_up.size(1),
           " is not [gate | up]");
}

}  // namespace

at::Tensor swiglu_forward(const at::Tensor& gate_up) {
  check_gate_up(gate_up);
  require_cpu(gate_up, "swiglu_forward");
  at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  cpu::swiglu_forward(gate_up, y);
  return y;
}

at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up) {
  check_gate_up(gate_up);
  require(dy_TF, gate_up.scalar_type(), {gate_up.size(0), gate_up.size(1) / 2},
          "swiglu: dy");
  require_cpu(gate_up, "swiglu_backward");
  at::Tensor dgate_up = at::empty_like(gate_up);
  cpu::swiglu_backward(dy_TF, gate_up, dgate_up);
  return dgate_up;
}

}  // namespace mtrain::kernels
