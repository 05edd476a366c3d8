// The CPU side of each operator: loops over checked, allocated tensors. Called by the
// file of the same name one folder up; meanings and shapes are those of
// include/mtrain/kernels/.
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/kernels/attention.hpp"
#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/kernels/experts.hpp"
#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/kernels/permute.hpp"
#include "mtrain/kernels/random.hpp"
#include "mtrain/kernels/rope.hpp"
#include "mtrain/kernels/router.hpp"

namespace mtrain::kernels::cpu {

using at::Tensor;

/// With `delta`, sum <- x + delta is what is normalised; without, `sum` is ignored.
void rms_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight,
                      double eps, Tensor& sum, Tensor& y, Tensor& rstd);
void rms_norm_apply(const Tensor& x, const Tensor& weight, const Tensor& rstd, Tensor& y);
void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, const Tensor& dresidual, Tensor& dx,
                       Tensor& dweight);

/// `inverse` [D/2] fp32 on the CPU: theta^(-2i/D).
void rope_table(const Tensor& positions, const Tensor& inverse, RopeTable& out);
void qk_norm_rope_forward(const Tensor& qkv, const Tensor& q_weight,
                          const Tensor& k_weight, const RopeTable& table,
                          const QkvShape& shape, double eps, QkNormRope& out);
void qk_norm_rope_backward(const Tensor& dq, const Tensor& dk, const Tensor& qkv,
                           const Tensor& q_weight, const Tensor& k_weight,
                           const Tensor& rstd, const RopeTable& table,
                           const QkvShape& shape, Tensor& dqkv, Tensor& dq_weight,
                           Tensor& dk_weight);

void attention_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Documents& documents, const AttentionOptions& options,
                       Attention& out);
void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Attention& saved,
                        const Documents& documents, const AttentionOptions& options,
                        AttentionGrad& grad);

void swiglu_forward(const Tensor& gate_up, Tensor& y);
/// With `y` defined, the forward's result is written there too.
void swiglu_backward(const Tensor& dy, const Tensor& gate_up, Tensor& dgate_up,
                     Tensor& y);

void cross_entropy_statistics(const Tensor& logits, const Tensor& targets,
                              const VocabSlice& slice, RowStatistics& out);
void cross_entropy_backward_(Tensor& logits, const Tensor& lse, const Tensor& targets,
                             const Tensor& weight, const VocabSlice& slice);
void cross_entropy_(Tensor& logits, const Tensor& targets, const Tensor& weight,
                    const VocabSlice& slice, Tensor& loss);

void embedding_forward(const Tensor& table, const Tensor& ids, int64_t begin,
                       Tensor& out);
void embedding_backward(Tensor& grad, const Tensor& dy, const Tensor& ids, int64_t begin);

void adamw_scalars(const AdamW& options, const Tensor& totals, Tensor& updates,
                   Tensor& scalars);
void adamw_update(const Tensor& scalars, AdamWState& state, const Tensor& grads,
                  Tensor& weights, const SegmentTable& segments);
void sum_of_squares(const Tensor& grads, const SegmentTable& segments, Tensor& sum);

void router_forward(const Tensor& logits, const RouterOptions& options, Routing& out);
void router_backward(const Tensor& dweights, const Routing& routing,
                     const RouterOptions& options, const RouterLossGrad& losses,
                     Tensor& dlogits);
void router_totals(const Routing& routing, Tensor& sums);

/// pairs_N and tokens_N have room for all pairs.
void permutation(const Tensor& experts, Permutation& out);
void gather_rows(const Tensor& x, const Tensor& index, Tensor& y);
void sum_rows(const Tensor& x, const Tensor& rows, Tensor& y);

void weighted_swiglu_forward(const Tensor& gate_up, const Tensor& weight, Tensor& y);
void weighted_swiglu_backward(const Tensor& dy, const Tensor& gate_up,
                              const Tensor& weight, WeightedSwigluGrad& grad);

void normal_fill_(Tensor& out, uint64_t seed, std::string_view name, const NormalBox& box,
                  double stddev);

}  // namespace mtrain::kernels::cpu
