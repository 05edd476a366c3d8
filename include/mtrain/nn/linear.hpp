// Column- and row-parallel linear layers without bias.
#pragma once

#include "mtrain/nn/tensor_region.hpp"
#include "mtrain/parallel/param.hpp"

namespace mtrain::nn {

/// Adds dy^T x to the weight's gradient; overwrites it where it is stale.
void add_weight_gradient(parallel::Parameter& weight, const at::Tensor& dy,
                         const at::Tensor& x);

/// Enters the region: y = enter(x) w^T, w holds the rank's rows (output features).
class ColumnLinear {
 public:
  ColumnLinear(parallel::Parameter& weight, const TensorRegion& region)
      : weight_(weight), region_(region) {}

  at::Tensor forward(const at::Tensor& x) const;
  /// dx from dy and the x of the forward; adds to the weight's gradient while dx is
  /// summed over the ranks.
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x) const;

 private:
  parallel::Parameter& weight_;
  const TensorRegion& region_;
};

/// Leaves the region: y = leave(x w^T), w holds the rank's columns (input features).
class RowLinear {
 public:
  RowLinear(parallel::Parameter& weight, const TensorRegion& region)
      : weight_(weight), region_(region) {}

  at::Tensor forward(const at::Tensor& x) const;
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x) const;
  /// The two halves of backward, for layers that make x again from dx: dx from dy, which
  /// is brought inside the region on the way, and then the weight's gradient.
  at::Tensor backward_input(at::Tensor& dy) const;
  void backward_weight(const at::Tensor& dy_inside, const at::Tensor& x) const;

 private:
  parallel::Parameter& weight_;
  const TensorRegion& region_;
};

}  // namespace mtrain::nn
