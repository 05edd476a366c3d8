// Grouped-query self-attention with per-head query/key norms and rotary embedding.
#pragma once

#include "mtrain/nn/linear.hpp"
#include "mtrain/nn/micro_batch.hpp"

namespace mtrain::nn {

struct AttentionParams {
  parallel::Parameter& qkv;     ///< fused rows: the rank's queries, keys, values
  parallel::Parameter& q_norm;  ///< [D]
  parallel::Parameter& k_norm;  ///< [D]
  parallel::Parameter& out;
};

class Attention {
 public:
  /// `heads` on this rank; `core.scale` is set from the head size.
  Attention(const AttentionParams& params, const TensorRegion& region,
            const kernels::QkvShape& heads, double eps, kernels::AttentionOptions core);

  struct Saved {
    at::Tensor qkv;
    kernels::QkNormRope rotated;
    kernels::Attention core;
  };

  at::Tensor forward(const at::Tensor& x, const MicroBatch& batch, Saved& saved) const;
  /// Drops what backward can compute again from qkv: rotated queries and keys, and the
  /// core.
  static void drop_core(Saved& saved);
  /// dx; `x` is the input of the forward.
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x, const MicroBatch& batch,
                      Saved& saved) const;

 private:
  void run_core(const MicroBatch& batch, Saved& saved) const;
  at::Tensor values(const at::Tensor& qkv) const;

  AttentionParams params_;
  ColumnLinear qkv_;
  RowLinear out_;
  kernels::QkvShape heads_;
  double eps_;
  kernels::AttentionOptions core_;
};

}  // namespace mtrain::nn
