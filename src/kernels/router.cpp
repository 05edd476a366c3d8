// Owns routing to experts: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/router.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "device.hpp"

namespace mtrain::kernels {

Routing router_forward(const at::Tensor& logits_TE, const RouterOptions& options) {
  require(logits_TE, at::kFloat, {-1, -1}, "router: logits");
  const int64_t tokens = logits_TE.size(0), choices = options.choices;
  MT_CHECK(choices > 0 && choices <= logits_TE.size(1), "router: ", choices, " of ",
           logits_TE.size(1), " experts");
  const auto fp32 = logits_TE.options();
  Routing out{at::empty_like(logits_TE), at::empty({tokens}, fp32),
              at::empty({tokens, choices}, fp32.dtype(at::kInt)),
              at::empty({tokens, choices}, fp32),
              at::empty({logits_TE.size(1)}, fp32.dtype(at::kInt))};
  MT_LOOPS(logits_TE, router_forward)(logits_TE, options, out);
  return out;
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
