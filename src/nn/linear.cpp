// Linear layers of attention and MLP: GEMMs of `kernels`, exchanges of TensorRegion.
#include "mtrain/nn/linear.hpp"

#include "mtrain/kernels/linear.hpp"

namespace mtrain::nn {

void add_weight_gradient(parallel::Parameter& weight, const at::Tensor& dy,
                         const at::Tensor& x) {
  kernels::linear_backward_weight(
      weight.grad, dy, x,
      weight.grad_is_stale ? kernels::Accumulate::kOverwrite : kernels::Accumulate::kAdd);
  weight.grad_is_stale = false;
}

at::Tensor ColumnLinear::forward(const at::Tensor& x) const {
  return kernels::linear_forward(region_.enter(x), weight_.weight);
}

at::Tensor ColumnLinear::backward(const at::Tensor& dy, const at::Tensor& x) const {
  auto gathered = region_.start_enter(x);
  auto summed = region_.start_leave(kernels::linear_backward_input(dy, weight_.weight));
  add_weight_gradient(weight_, dy, gathered.take());
  return summed.take();
}

at::Tensor RowLinear::forward(const at::Tensor& x) const {
  return region_.leave(kernels::linear_forward(x, weight_.weight));
}

at::Tensor RowLinear::backward(const at::Tensor& dy, const at::Tensor& x) const {
  at::Tensor inside = dy;
  at::Tensor dx = backward_input(inside);
  backward_weight(inside, x);
  return dx;
}

at::Tensor RowLinear::backward_input(at::Tensor& dy) const {
  dy = region_.enter(dy);
  return kernels::linear_backward_input(dy, weight_.weight);
}

void RowLinear::backward_weight(const at::Tensor& dy_inside, const at::Tensor& x) const {
  add_weight_gradient(weight_, dy_inside, x);
}

}  // namespace mtrain::nn
