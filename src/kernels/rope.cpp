// Owns the q/k norm fused with rotary embedding: checks shapes and picks the device's
// loops. Called by nn's attention.
#include "mtrain/kernels/rope.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>

#include "device.hpp"

namespace mtrain::kernels {
namespace {

/// Checks the fused row and what goes with it; returns the number of tokens.
int64_t check_fused(const at::Tensor& qkv, const at::Tensor& q_weight_D,
                    const at::Tensor& k_weight_D, const RopeTable& table,
                    const QkvShape& shape) {
  const int64_t heads = shape.query_heads + 2 * shape.kv_heads;
  const at::ScalarType dtype = require_activation(qkv, "qk_norm_rope: qkv");
  require(qkv, dtype, {-1, heads * shape.head_dim}, "qk_norm_rope: qkv");
  MT_CHECK(shape.head_dim % 2 == 0, "qk_norm_rope: head of ", shape.head_dim,
           " has no halves");
  require(q_weight_D, dtype, {shape.head_dim}, "qk_norm_rope: q weight");
  require(k_weight_D, dtype, {shape.head_dim}, "qk_norm_rope: k weight");
  for (const at::Tensor* x : {&table.cos_TD, &table.sin_TD})
    require(*x, at::kFloat, {qkv.size(0), shape.head_dim / 2},
            "qk_norm_rope: rope table");
  return qkv.size(0);
}

}  // namespace

RopeTable rope_table(const at::Tensor& positions_T, int64_t head_dim, double theta) {
  MT_CHECK(head_dim % 2 == 0, "rope_table: head of ", head_dim, " has no halves");
  const at::Tensor exponents = at::arange(0, head_dim, 2, at::kFloat) / head_dim;
  const at::Tensor inverse = at::pow(theta, exponents).reciprocal();
  const at::Tensor angles =
      at::outer(positions_T.to(at::kFloat), inverse.to(positions_T.device()));
  return {angles.cos(), angles.sin()};
}

QkNormRope qk_norm_rope_forward(const at::Tensor& qkv, const at::Tensor& q_weight_D,
                                const at::Tensor& k_weight_D, const RopeTable& table,
                                const QkvShape& shape, double eps) {
  const int64_t tokens = check_fused(qkv, q_weight_D, k_weight_D, table, shape);
  QkNormRope out{at::empty({tokens, shape.query_heads, shape.head_dim}, qkv.options()),
                 at::empty({tokens, shape.kv_heads, shape.head_dim}, qkv.options()),
                 at::empty({tokens, shape.query_heads + shape.kv_heads},
                           qkv.options().dtype(at::kFloat))};
  MT_LOOPS(qkv, qk_norm_rope_forward)
  (qkv, q_weight_D, k_weight_D, table, shape, eps, out);
  return out;
}

void qk_norm_rope_backward(const at::Tensor& dq_TND, const at::Tensor& dk_TKD,
                           const at::Tensor& qkv, const at::Tensor& q_weight_D,
                           const at::Tensor& k_weight_D, const at::Tensor& rstd_TNK,
                           const RopeTable& table, const QkvShape& shape,
                           at::Tensor& dqkv, at::Tensor& dq_weight_D,
                           at::Tensor& dk_weight_D) {
  const int64_t tokens = check_fused(qkv, q_weight_D, k_weight_D, table, shape);
  const at::ScalarType dtype = qkv.scalar_type();
  require(dq_TND, dtype, {tokens, shape.query_heads, shape.head_dim}, "qk_norm_rope: dq");
  require(dk_TKD, dtype, {tokens, shape.kv_heads, shape.head_dim}, "qk_norm_rope: dk");
  require(rstd_TNK, at::kFloat, {tokens, shape.query_heads + shape.kv_heads},
          "qk_norm_rope: rstd");
  require(dqkv, dtype, {tokens, qkv.size(1)}, "qk_norm_rope: dqkv");
  require(dq_weight_D, at::kFloat, {shape.head_dim}, "qk_norm_rope: dq weight");
  require(dk_weight_D, at::kFloat, {shape.head_dim}, "qk_norm_rope: dk weight");
  MT_LOOPS(qkv, qk_norm_rope_backward)
  (dq_TND, dk_TKD, qkv, q_weight_D, k_weight_D, rstd_TNK, table, shape, dqkv, dq_weight_D,
   dk_weight_D);
}

}  // namespace mtrain::kernels
