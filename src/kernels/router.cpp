// Owns routing to experts: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/router.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "device.hpp"

namespace mtrain::kernels {

Routing router_forward(const at::Tensor& logits_TE, const RouterOptions& options) {
  require(logits_TE, at::kFloat, {-1, -1}, "router: logits");
  const int64_t tokens = logits_TE.size(0), choices = options.choices;
  MT_CHECK(choices > 0 && choices <= logits_TE.size(1), "router: ", choices, " of ",
           logits_TE.size(1), " experts");
  const auto fp32 = logits_TE.options();
  Routing out{at::empty_like(logits_TE),
              at::empty({tokens}, fp32),
              at::empty({tokens, choices}, fp32.dtype(at::kInt)),
              at::empty({tokens, choices}, fp32),
              at::empty({logits_TE.size(1)}, fp32.dtype(at::kInt)),
              {}};
  MT_LOOPS(logits_TE, router_forward)(logits_TE, options, out);
  return out;
}

void limit_experts(Routing& routing, double factor) {
  const at::Tensor expert_N = routing.experts_TK.flatten();
  const int64_t pairs = expert_N.numel();
  const auto capacity = static_cast<int64_t>(
      std::ceil(static_cast<double>(pairs) /
                static_cast<double>(routing.counts_E.numel()) * factor));
  // By expert, then by weight, then by token, as both sorts are stable.
  const at::Tensor by_weight = routing.weights_TK.flatten().argsort(true, 0, true);
  const at::Tensor order_N = by_weight.index_select(
      0, expert_N.index_select(0, by_weight).argsort(true, 0, false));
  const at::Tensor firsts_E = routing.counts_E.cumsum(0) - routing.counts_E;
  const at::Tensor place_N = at::arange(pairs, firsts_E.options()) -
                             firsts_E.index_select(0, expert_N.index_select(0, order_N));
  const at::Tensor kept_N = at::empty_like(expert_N).index_copy_(
      0, order_N,
      expert_N.index_select(0, order_N).masked_fill(place_N.ge(capacity), -1));
  routing.kept_TK = kept_N.view(routing.experts_TK.sizes());
}

at::Tensor router_backward(const at::Tensor& dweights_TK, const Routing& routing,
                           const RouterOptions& options, const RouterLossGrad& losses) {
  const at::Tensor& p = routing.probabilities_TE;
  require(dweights_TK, at::kFloat, {p.size(0), options.choices}, "router: dweights");
  require(losses.probability_E, at::kFloat, {p.size(1)}, "router: losses");
  at::Tensor dlogits = at::empty_like(p);
  MT_LOOPS(p, router_backward)(dweights_TK, routing, options, losses, dlogits);
  return dlogits;
}

at::Tensor router_totals(const Routing& routing) {
  const at::Tensor& p = routing.probabilities_TE;
  require(p, at::kFloat, {-1, -1}, "router: probabilities");
  at::Tensor sums = at::empty({p.size(1) + 2}, p.options().dtype(at::kDouble));
  MT_LOOPS(p, router_totals)(routing, sums);
  return sums;
}

}  // namespace mtrain::kernels
