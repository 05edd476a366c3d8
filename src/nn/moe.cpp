// Feed-forward layer of a block with experts.
#include "mtrain/nn/moe.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/kernels/experts.hpp"

namespace mtrain::nn {
namespace {

/// Rows of zeros behind y: tokens no expert was asked about.
at::Tensor padded(const at::Tensor& y, int64_t rows) {
  if (y.size(0) == rows) return y;
  return at::cat({y, at::zeros({rows - y.size(0), y.size(1)}, y.options())});
}

}  // namespace

Moe::Moe(const MoeParams& params, const MoeOptions& options,
         const ExpertPlacement& placement, at::Tensor figures)
    : params_(params),
      options_(options),
      placement_(placement),
      figures_(std::move(figures)) {}

at::Tensor Moe::enter(const at::Tensor& x) const {
  if (!placement_.takes_part) return placement_.region.enter(x);
  const int64_t rows = x.size(0) / placement_.spread->size();
  return x.narrow(0, placement_.spread->rank() * rows, rows);
}

at::Tensor Moe::leave(const at::Tensor& y) const {
  if (!placement_.takes_part) return placement_.region.leave(y);
  at::Tensor whole =
      at::empty({y.size(0) * placement_.spread->size(), y.size(1)}, y.options());
  placement_.spread->all_gather(y.contiguous(), whole);
  return whole;
}

at::Tensor Moe::routed(const at::Tensor& inside, const MicroBatch& batch) const {
  const int64_t rows = inside.size(0);
  const int64_t first = placement_.spread ? placement_.spread->rank() * rows : 0;
  return inside.narrow(0, 0, std::clamp<int64_t>(batch.routed_tokens - first, 0, rows));
}

at::Tensor Moe::logits(const at::Tensor& x) const {
  const at::Tensor& weight = params_.router.weight;
  if (options_.router_dtype == at::kFloat) return kernels::linear_forward_fp32(x, weight);
  return at::mm(x.to(at::kDouble), weight.to(at::kDouble).t()).to(at::kFloat);
}

Dispatcher::Plan Moe::plan(const kernels::Routing& routing) const {
  if (!routing.kept_TK.defined())
    return placement_.dispatcher.plan(routing.experts_TK, kernels::Pairs::kAll);
  return placement_.dispatcher.plan(routing.kept_TK, kernels::Pairs::kOfHeldExperts);
}

void Moe::make_inner(const at::Tensor& x, Saved& saved) const {
  saved.rows = placement_.dispatcher.dispatch(x, saved.plan);
  if (saved.gate_up.defined()) return;
  saved.gate_up = kernels::grouped_linear_forward(saved.rows, params_.gate_up.weight,
                                                  saved.plan.ends_E);
}

at::Tensor Moe::forward(const at::Tensor& x_TH, const MicroBatch& batch,
                        Saved& saved) const {
  const Dispatcher& dispatcher = placement_.dispatcher;
  const at::Tensor inside = enter(x_TH);
  const at::Tensor x = routed(inside, batch);
  saved = {};
  saved.routing = kernels::router_forward(logits(x), options_.router);
  if (options_.capacity_factor)
    kernels::limit_experts(saved.routing, *options_.capacity_factor);
  saved.plan = plan(saved.routing);
  saved.row_weights = dispatcher.dispatch_weights(saved.routing.weights_TK, saved.plan);
  make_inner(x, saved);
  if (dispatcher.local()) saved.rows.reset();
  const at::Tensor activated =
      kernels::weighted_swiglu_forward(saved.gate_up, saved.row_weights);
  const at::Tensor rows =
      kernels::grouped_linear_forward(activated, params_.down.weight, saved.plan.ends_E);
  return leave(padded(dispatcher.combine(rows, saved.plan), inside.size(0)));
}

at::Tensor Moe::backward(const at::Tensor& dy_TH, const at::Tensor& x_TH,
                         const MicroBatch& batch, Saved& saved) const {
  const at::Tensor inside = enter(x_TH);
  const at::Tensor x = routed(inside, batch);
  const at::Tensor dy = routed(enter(dy_TH), batch);
  if (!saved.rows.defined()) make_inner(x, saved);
  at::Tensor dweights;
  at::Tensor dx = experts_backward(dy, saved, dweights);
  router_backward(dweights, x, batch, saved.routing, dx);
  saved = {};
  return leave(padded(dx, inside.size(0)));
}

at::Tensor Moe::experts_backward(const at::Tensor& dy, Saved& saved,
                                 at::Tensor& dweights_TK) const {
  const Dispatcher& dispatcher = placement_.dispatcher;
  const auto add_gradient = [&](parallel::Parameter& weight, const at::Tensor& d_out,
                                const at::Tensor& in) {
    kernels::grouped_linear_backward_weight(weight.grad, d_out, in, saved.plan.ends_E,
                                            weight.grad_is_stale
                                                ? kernels::Accumulate::kOverwrite
                                                : kernels::Accumulate::kAdd);
    weight.grad_is_stale = false;
  };
  const at::Tensor d_rows = dispatcher.dispatch(dy, saved.plan);
  auto inner = kernels::weighted_swiglu_backward(
      kernels::grouped_linear_backward_input(d_rows, params_.down.weight,
                                             saved.plan.ends_E),
      saved.gate_up, saved.row_weights);
  saved.gate_up.reset();
  add_gradient(params_.down, d_rows, inner.y_NF);
  dweights_TK = dispatcher.combine_weights(inner.dweight_N, saved.plan);
  add_gradient(params_.gate_up, inner.dgate_up, saved.rows);
  return dispatcher.combine(
      kernels::grouped_linear_backward_input(inner.dgate_up, params_.gate_up.weight,
                                             saved.plan.ends_E),
      saved.plan);
}

void Moe::router_backward(const at::Tensor& dweights_TK, const at::Tensor& x,
                          const MicroBatch& batch, const kernels::Routing& routing,
                          at::Tensor& dx) const {
  const auto losses = router_losses(routing, batch);
  if (x.size(0) == 0) return;
  const at::Tensor dlogits =
      kernels::router_backward(dweights_TK, routing, options_.router, losses);
  if (options_.router_dtype == at::kFloat) {
    add_weight_gradient(params_.router, dlogits, x);
    kernels::linear_backward_input_fp32(dx, dlogits, params_.router.weight);
    return;
  }
  const at::Tensor d64 = dlogits.to(at::kDouble);
  params_.router.grad_to_add_to().add_(at::mm(d64.t(), x.to(at::kDouble)));
  dx.add_(at::mm(d64, params_.router.weight.to(at::kDouble)));
}

kernels::RouterLossGrad Moe::router_losses(const kernels::Routing& routing,
                                           const MicroBatch& batch) const {
  const at::Tensor all = routing.counts_E.to(at::kFloat);
  if (placement_.spread) placement_.spread->all_reduce(all, comm::Reduce::kSum);
  if (!counts() || batch.routed_tokens == 0) return {at::zeros_like(all), 0.0};
  // Of the mean over the tokens and over the micro-batches of the global batch.
  const auto tokens = static_cast<double>(batch.routed_tokens);
  const double each = batch.share / tokens;
  const int64_t experts = all.size(0);
  const at::Tensor balance =
      all * (each * static_cast<double>(experts) /
             (tokens * static_cast<double>(options_.router.choices)));
  const at::Tensor sums = kernels::router_totals(routing);
  figures_[RouterFigures::kBalance] += sums.narrow(0, 0, experts).mul(balance).sum();
  // lse^2 and entropy lie side by side in both.
  figures_.narrow(0, RouterFigures::kZ, 2).add_(sums.narrow(0, experts, 2), each);
  figures_.narrow(0, RouterFigures::kTokens, experts) += routing.counts_E;
  if (routing.kept_TK.defined())
    figures_[RouterFigures::kDropped] += routing.kept_TK.lt(0).sum();
  return {balance * options_.balance_coefficient, 2 * each * options_.z_coefficient};
}

}  // namespace mtrain::nn
