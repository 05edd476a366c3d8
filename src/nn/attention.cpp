// Self-attention layer of a block.
#include "mtrain/nn/attention.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace mtrain::nn {

Attention::Attention(const AttentionParams& params, const TensorRegion& region,
                     const kernels::QkvShape& heads, double eps,
                     kernels::AttentionOptions core)
    : params_(params),
      qkv_(params.qkv, region),
      out_(params.out, region),
      heads_(heads),
      eps_(eps),
      core_(core) {
  core_.scale = 1.0 / std::sqrt(static_cast<double>(heads.head_dim));
}

at::Tensor Attention::values(const at::Tensor& qkv) const {
  const int64_t begin = (heads_.query_heads + heads_.kv_heads) * heads_.head_dim;
  const int64_t width = heads_.kv_heads * heads_.head_dim;
  return qkv.narrow(1, begin, width)
      .view({qkv.size(0), heads_.kv_heads, heads_.head_dim});
}

void Attention::run_core(const MicroBatch& batch, Saved& saved) const {
  saved.rotated = kernels::qk_norm_rope_forward(
      saved.qkv, params_.q_norm.weight, params_.k_norm.weight, batch.rope, heads_, eps_);
  saved.core = kernels::attention_forward(saved.rotated.q_TND, saved.rotated.k_TKD,
                                          values(saved.qkv), batch.documents, core_);
}

at::Tensor Attention::forward(const at::Tensor& x, const MicroBatch& batch,
                              Saved& saved) const {
  saved.qkv = qkv_.forward(x);
  run_core(batch, saved);
  return out_.forward(saved.core.o_TND.flatten(1));
}

void Attention::drop_core(Saved& saved) {
  saved.rotated = {};
  saved.core = {};
}

at::Tensor Attention::backward(const at::Tensor& dy, const at::Tensor& x,
                               const MicroBatch& batch, Saved& saved) const {
  if (!saved.core.o_TND.defined()) run_core(batch, saved);
  const at::Tensor d_core = out_.backward(dy, saved.core.o_TND.flatten(1));
  at::Tensor d_qkv = at::empty_like(saved.qkv);
  kernels::AttentionGrad grad{at::empty_like(saved.rotated.q_TND),
                              at::empty_like(saved.rotated.k_TKD), values(d_qkv)};
  kernels::attention_backward(d_core.view_as(saved.core.o_TND), saved.rotated.q_TND,
                              saved.rotated.k_TKD, values(saved.qkv), saved.core,
                              batch.documents, core_, grad);
  saved.core = {};
  kernels::qk_norm_rope_backward(grad.dq_TND, grad.dk_TKD, saved.qkv,
                                 params_.q_norm.weight, params_.k_norm.weight,
                                 saved.rotated.rstd_TNK, batch.rope, heads_, d_qkv,
                                 params_.q_norm.grad, params_.k_norm.grad);
  saved = {};
  return qkv_.backward(d_qkv, x);
}

}  // namespace mtrain::nn
