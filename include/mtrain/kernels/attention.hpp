// Causal grouped-query attention over packed documents.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace mtrain::kernels {

/// The documents of a packed row: document d holds tokens offsets[d] .. offsets[d+1]-1,
/// and a token attends to earlier tokens of its own document only. offsets.front() == 0,
/// back() == T.
struct Documents {
  std::vector<int64_t> offsets;
  int64_t longest() const;
};

struct Attention {
  at::Tensor o_TND;   ///< dtype of q
  at::Tensor lse_NT;  ///< fp32 log-sum-exp of the scaled scores
};

/// softmax(q k^T * scale, causal within each document) v. q [T, N, D] contiguous; k [T,
/// K, D] and v [T, K, D] may be strided over tokens (v is a view into the fused qkv row)
/// but must be contiguous over (K, D). N is a multiple of K; query head n uses key head n
/// / (N/K). Scores and sums in fp32; scores are never whole in memory.
Attention attention_forward(const at::Tensor& q_TND, const at::Tensor& k_TKD,
                            const at::Tensor& v_TKD, const Documents& documents,
                            double scale);

struct AttentionGrad {
  at::Tensor dq_TND;
  at::Tensor dk_TKD;
  at::Tensor dv_TKD;
};

/// Gradients, recomputing probabilities from lse (Dao, FlashAttention-2, section 3.1).
AttentionGrad attention_backward(const at::Tensor& do_TND, const at::Tensor& q_TND,
                                 const at::Tensor& k_TKD, const at::Tensor& v_TKD,
                                 const Attention& saved, const Documents& documents,
                                 double scale);

}  // namespace mtrain::kernels
