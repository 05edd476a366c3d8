// Per-head RMSNorm of queries and keys fused with rotary position embedding.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// cos and sin of position * theta^(-2i/D), i < D/2, for each token: two fp32 tensors [T,
/// D/2]. Angles are an fp32 product, as HF computes them.
struct RopeTable {
  at::Tensor cos_TD;  ///< [T, D/2] fp32
  at::Tensor sin_TD;  ///< [T, D/2] fp32
};
RopeTable rope_table(const at::Tensor& positions_T, int64_t head_dim, double theta);

/// Sizes of the heads inside one fused row [N*D | K*D | K*D] of queries, keys and values.
struct QkvShape {
  int64_t query_heads;
  int64_t kv_heads;
  int64_t head_dim;
};

struct QkNormRope {
  at::Tensor q_TND;     ///< normalised and rotated queries, contiguous
  at::Tensor k_TKD;     ///< normalised and rotated keys, contiguous
  at::Tensor rstd_TNK;  ///< fp32 [T, N+K], kept for the backward
};

/// RMSNorm over each head of q and k (weights [D], order of casts as rms_norm_forward),
/// then half-split rotation (rotate_half): (a, b) -> (a cos - b sin, b cos + a sin), a
/// and b the halves of the head. In bf16 the rotation is done in fp32 and rounded once.
/// qkv is [T, (N+2K)*D] contiguous; values are not touched.
QkNormRope qk_norm_rope_forward(const at::Tensor& qkv, const at::Tensor& q_weight_D,
                                const at::Tensor& k_weight_D, const RopeTable& table,
                                const QkvShape& shape, double eps);

/// Writes the queries' and keys' part of the fused row's gradient dqkv [T, (N+2K)*D] from
/// the gradients of the rotated q and k; the values' part is the caller's. Adds the norm
/// weights' gradients to dq_weight_D and dk_weight_D (fp32, in place).
void qk_norm_rope_backward(const at::Tensor& dq_TND, const at::Tensor& dk_TKD,
                           const at::Tensor& qkv, const at::Tensor& q_weight_D,
                           const at::Tensor& k_weight_D, const at::Tensor& rstd_TNK,
                           const RopeTable& table, const QkvShape& shape,
                           at::Tensor& dqkv, at::Tensor& dq_weight_D,
                           at::Tensor& dk_weight_D);

}  // namespace mtrain::kernels
