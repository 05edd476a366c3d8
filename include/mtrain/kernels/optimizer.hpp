// AdamW and the reductions around it, over the shard of the parameters a rank owns.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace mtrain::kernels {

/// `length` elements that are contiguous both in the optimizer's state, from `state` on,
/// and in the flat parameter buffers (weights, gradients), from `flat` on.
struct Segment {
  int64_t state, flat, length;
  bool decay;  ///< whether weight decay applies

  bool operator==(const Segment&) const = default;
};

/// Segments, and on a GPU the list of equal pieces that thread blocks take, uploaded
/// once.
class SegmentTable {
 public:
  /// Segments must be disjoint and sorted by state; those of length 0 are dropped.
  SegmentTable(std::vector<Segment> segments, at::Device device);

  const std::vector<Segment>& segments() const { return segments_; }
  /// int64 [pieces, 4] on the device: state, flat, length (at most kPiece), decay.
  /// Undefined on the CPU.
  const at::Tensor& pieces() const { return pieces_; }

  static constexpr int64_t kPiece = 16384;

 private:
  std::vector<Segment> segments_;
  at::Tensor pieces_;
};

struct AdamW {
  double learning_rate;
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm;  ///< 0 for no clipping
};

/// The scalars of one update, formed on the device of the gradients so that the host
/// waits for nothing. `totals` fp64 [2]: the loss and the sum of squares of the whole
/// gradient. When either is not finite the update will do nothing; else `updates` (int64
/// [1]) counts one more, and gradients will be scaled by min(1, max_grad_norm / (norm +
/// 1e-6)), as torch.nn.utils.clip_grad_norm_. Returns an opaque fp64 tensor for
/// adamw_update.
at::Tensor adamw_scalars(const AdamW& options, const at::Tensor& totals,
                         at::Tensor& updates);

/// fp32, of equal length.
struct AdamWState {
  at::Tensor master, exp_avg, exp_avg_sq;
};

/// One pass over the shard, as torch.optim.AdamW: p *= 1 - lr*wd (decayed segments only);
/// m, v updated; p -= lr * mhat / (sqrt(vhat) + eps). `grads` (fp32) and `weights` are
/// the flat buffers; weights receive the result in their own dtype. Where weights are
/// fp32 they are their own master copy: state.master is undefined then.
void adamw_update(const at::Tensor& scalars, AdamWState& state, const at::Tensor& grads,
                  at::Tensor& weights, const SegmentTable& segments);

/// Sum of squares over the segments of a flat fp32 buffer (Segment::flat), accumulated in
/// fp64 in a fixed order; a [1] fp64 tensor on its device.
at::Tensor sum_of_squares(const at::Tensor& grads, const SegmentTable& segments);

}  // namespace mtrain::kernels
