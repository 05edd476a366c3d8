// Owns causal attention over packed documents: checks shapes and picks the device's
// loops. Called by nn's attention.
#include "mtrain/kernels/attention.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "device.hpp"

namespace mtrain::kernels {
namespace {

/// k or v: [T, K, D], dense over (K, D), any stride over tokens.
void check_keys(const at::Tensor& x_TKD, const at::Tensor& q_TND, const char* what) {
  MT_CHECK(x_TKD.defined() && x_TKD.scalar_type() == q_TND.scalar_type(), what,
           " must have q's dtype");
  MT_CHECK(x_TKD.dim() == 3 && x_TKD.size(0) == q_TND.size(0) &&
               x_TKD.size(2) == q_TND.size(2) && x_TKD.size(1) > 0 &&
               q_TND.size(1) % x_TKD.size(1) == 0,
           what, " has shape ", x_TKD.sizes(), " beside q ", q_TND.sizes());
  const bool dense = x_TKD.stride(2) == 1 && x_TKD.stride(1) == x_TKD.size(2);
  MT_CHECK(dense || x_TKD.numel() == 0, what, " must be contiguous over heads, strides ",
           x_TKD.strides());
}

void check(const at::Tensor& q_TND, const at::Tensor& k_TKD, const at::Tensor& v_TKD,
           const Documents& documents) {
  require(q_TND, require_activation(q_TND, "attention: q"), {-1, -1, -1}, "attention: q");
  check_keys(k_TKD, q_TND, "attention: k");
  check_keys(v_TKD, q_TND, "attention: v");
  MT_CHECK(k_TKD.size(1) == v_TKD.size(1), "attention: ", k_TKD.size(1),
           " key heads and ", v_TKD.size(1), " value heads");
  const std::vector<int64_t>& offsets = documents.offsets;
  MT_CHECK(!offsets.empty() && offsets.front() == 0 && offsets.back() == q_TND.size(0) &&
               std::is_sorted(offsets.begin(), offsets.end()),
           "attention: document offsets [", join(offsets, ", "), "] over ", q_TND.size(0),
           " tokens");
}

}  // namespace

int64_t Documents::longest() const {
  int64_t longest = 0;
  for (size_t d = 1; d < offsets.size(); ++d)
    longest = std::max(longest, offsets[d] - offsets[d - 1]);
  return longest;
}

Attention attention_forward(const at::Tensor& q_TND, const at::Tensor& k_TKD,
                            const at::Tensor& v_TKD, const Documents& documents,
                            const AttentionOptions& options) {
  check(q_TND, k_TKD, v_TKD, documents);
  Attention out{at::empty_like(q_TND), at::empty({q_TND.size(1), q_TND.size(0)},
                                                 q_TND.options().dtype(at::kFloat))};
  MT_LOOPS(q_TND, attention_forward)(q_TND, k_TKD, v_TKD, documents, options, out);
  return out;
}

void attention_backward(const at::Tensor& do_TND, const at::Tensor& q_TND,
                        const at::Tensor& k_TKD, const at::Tensor& v_TKD,
                        const Attention& saved, const Documents& documents,
                        const AttentionOptions& options, AttentionGrad& grad) {
  check(q_TND, k_TKD, v_TKD, documents);
  const int64_t tokens = q_TND.size(0), heads = q_TND.size(1), dim = q_TND.size(2);
  const at::ScalarType dtype = q_TND.scalar_type();
  require(do_TND, dtype, {tokens, heads, dim}, "attention: do");
  require(saved.o_TND, dtype, {tokens, heads, dim}, "attention: o");
  require(saved.lse_NT, at::kFloat, {heads, tokens}, "attention: lse");
  require(grad.dq_TND, dtype, {tokens, heads, dim}, "attention: dq");
  require(grad.dk_TKD, dtype, {tokens, k_TKD.size(1), dim}, "attention: dk");
  check_keys(grad.dv_TKD, q_TND, "attention: dv");
  MT_LOOPS(q_TND, attention_backward)
  (do_TND, q_TND, k_TKD, v_TKD, saved, documents, options, grad);
}

}  // namespace mtrain::kernels
