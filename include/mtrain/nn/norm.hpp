// RMSNorm over the residual stream.
#pragma once

#include "mtrain/parallel/param.hpp"

namespace mtrain::nn {

/// The residual stream between layers: its value is residual + delta. The addition is
/// left to the next norm, which does it in the same pass.
struct Stream {
  at::Tensor residual;
  at::Tensor delta;  ///< undefined when there is nothing to add

  at::Tensor sum() const;
};

class Norm {
 public:
  /// What the backward needs. `y` is dropped by selective recompute and made again from
  /// x.
  struct Saved {
    at::Tensor x, rstd, y;
  };

  Norm(parallel::Parameter& weight, double eps) : weight_(weight), eps_(eps) {}

  /// Normalises the stream's sum; saved.x is that sum.
  at::Tensor forward(const Stream& stream, Saved& saved) const;
  /// The output of forward again.
  at::Tensor output(const Saved& saved) const;
  /// Gradient of the stream from that of the output and, over the residual branch,
  /// `dresidual` (may be undefined). Adds to the weight's gradient.
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& dresidual,
                      const Saved& saved) const;

 private:
  parallel::Parameter& weight_;
  double eps_;
};

}  // namespace mtrain::nn
