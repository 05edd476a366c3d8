// SwiGLU feed-forward layer.
#pragma once

#include "mtrain/nn/linear.hpp"

namespace mtrain::nn {

class Mlp {
 public:
  /// gate_up: the rank's gate rows, then its up rows.
  Mlp(parallel::Parameter& gate_up, parallel::Parameter& down, const TensorRegion& region)
      : gate_up_(gate_up, region), down_(down, region) {}

  struct Saved {
    // Either may be dropped after the forward; backward makes it again.
    at::Tensor gate_up;
    at::Tensor activated;
  };

  at::Tensor forward(const at::Tensor& x, Saved& saved) const;
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x, Saved& saved) const;

 private:
  ColumnLinear gate_up_;
  RowLinear down_;
};

}  // namespace mtrain::nn
