// Feed-forward layer of a dense block.
#include "mtrain/nn/mlp.hpp"

#include <ATen/ATen.h>

#include "mtrain/kernels/activation.hpp"

namespace mtrain::nn {

at::Tensor Mlp::forward(const at::Tensor& x, Saved& saved) const {
  saved.gate_up = gate_up_.forward(x);
  saved.activated = kernels::swiglu_forward(saved.gate_up);
  return down_.forward(saved.activated);
}

at::Tensor Mlp::backward(const at::Tensor& dy, const at::Tensor& x, Saved& saved) const {
  if (!saved.gate_up.defined()) saved.gate_up = gate_up_.forward(x);
  at::Tensor inside = dy;
  at::Tensor d_activated = down_.backward_input(inside), d_gate_up;
  if (saved.activated.defined()) {
    d_gate_up = kernels::swiglu_backward(d_activated, saved.gate_up);
  } else {
    auto both = kernels::swiglu_backward_recompute(d_activated, saved.gate_up);
    d_gate_up = std::move(both.dgate_up);
    saved.activated = std::move(both.y_TF);
  }
  d_activated.reset();
  saved.gate_up.reset();
  down_.backward_weight(inside, saved.activated);
  saved.activated.reset();
  return gate_up_.backward(d_gate_up, x);
}

}  // namespace mtrain::nn
