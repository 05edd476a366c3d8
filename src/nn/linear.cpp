// Linear layers of attention and MLP: GEMMs of `kernels`, exchanges of TensorRegion.
#include "mtrain/nn/linear.hpp"

#include "mtrain/kernels/linear.hpp"

namespace mtrain::nn {

at::Tensor ColumnLinear::forward(const at::Tensor& x) const {
  return kernels::linear_forward(region_.enter(x), weight_.weight);
}

at::Tensor ColumnLinear::backward(const at::Tensor& dy, const at::Tensor& x) const {
  auto gathered = region_.start_enter(x);
  auto summed = region_.start_leave(kernels::linear_backward_input(dy, weight_.weight));
  kernels::linear_backward_weight(weight_.grad, dy, gathered.take());
  return summed.take();
}

at::Tensor RowLinear::forward(const at::Tensor& x) const {
  return region_.leave(kernels::linear_forward(x, weight_.weight));
}

at::Tensor RowLinear::backward(const at::Tensor& dy, const at::Tensor& x) const {
  const at::Tensor whole = region_.enter(dy);
  kernels::linear_backward_weight(weight_.grad, whole, x);
  return kernels::linear_backward_input(whole, weight_.weight);
}

}  // namespace mtrain::nn
