// AdamW and the reductions around it, over flat contiguous ranges.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace mtrain::kernels {

struct AdamW {
  double learning_rate;
  double beta1, beta2, epsilon, weight_decay;
  int64_t step;           ///< 1 for the first update (bias correction)
  double gradient_scale;  ///< factor applied to every gradient first (clipping)
};

/// Elements [begin, end) of the flat range; `decay` says whether weight decay applies to
/// them.
struct Segment {
  int64_t begin, end;
  bool decay;
};

/// One pass over a flat shard, as torch.optim.AdamW: p *= 1 - lr*wd (decayed segments
/// only); m, v updated; p -= lr * mhat / (sqrt(vhat) + eps). master, m, v, grad fp32 of
/// equal length. `weight` (same length) receives the result in its own dtype; pass
/// `master` itself for fp32. Segments must be disjoint and sorted; gaps between them are
/// left untouched.
void adamw_update(const AdamW& options, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                  const at::Tensor& grad, at::Tensor& weight,
                  const std::vector<Segment>& segments);

/// Sum of squares of a flat fp32 range, accumulated in fp64; a [1] fp64 tensor on its
/// device.
at::Tensor sum_of_squares(const at::Tensor& flat);

}  // namespace mtrain::kernels
