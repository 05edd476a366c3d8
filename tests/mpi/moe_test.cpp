// The mixture-of-experts layer against autograd in fp64, router losses and padding
// included, its experts over all ranks: each rank has the same tokens.
#include "mtrain/nn/moe.hpp"

#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>

#include "support/session.hpp"

using namespace mtrain;
using namespace mtrain::nn;
using parallel::Parameter;

namespace {

constexpr int64_t kTokens = 30, kRouted = 26, kHidden = 12, kFfn = 10, kExperts = 8,
                  kChoices = 3;
constexpr double kTolerance = 2e-5, kShare = 0.25, kBalance = 0.3, kZ = 0.07;

Parameter parameter(const at::Tensor& weight) {
  Parameter p;
  p.weight = weight.contiguous();
  p.grad = at::full(weight.sizes(), 99.0, at::kFloat);
  p.grad_is_stale = true;
  return p;
}

at::Tensor leaf(const at::Tensor& x) {
  return x.to(at::kDouble).detach().set_requires_grad(true);
}

struct Weights {
  at::Tensor router, gate_up, down;
};

struct Oracle {
  at::Tensor y, balance, z;
  int64_t dropped;
};

struct Variant {
  bool normalise;
  std::optional<double> capacity_factor;
  at::ScalarType router_dtype;
};

/// Of the tokens that chose an expert (weight above 0), those with the largest weights.
at::Tensor without_overflow(const at::Tensor& weight_T1, int64_t capacity) {
  const auto kept = std::get<1>(weight_T1.detach().topk(capacity, 0));
  return weight_T1 * at::zeros_like(weight_T1).scatter(0, kept, 1.0);
}

Oracle oracle(const at::Tensor& x, const Weights& w, const Variant& variant) {
  const at::Tensor logits = x.mm(w.router.t()), p = logits.softmax(1);
  const auto [top, experts] = p.topk(kChoices, 1);
  const at::Tensor weights = variant.normalise ? top / top.sum(1, true) : top;
  const auto capacity = static_cast<int64_t>(
      std::ceil(kRouted * kChoices * variant.capacity_factor.value_or(1) / kExperts));
  int64_t dropped = 0;
  at::Tensor y = at::zeros_like(x);
  for (int64_t e = 0; e < kExperts; ++e) {
    const auto halves = x.mm(w.gate_up[e].t()).chunk(2, 1);
    const at::Tensor out = (at::silu(halves[0]) * halves[1]).mm(w.down[e].t());
    const at::Tensor all = (weights * experts.eq(e)).sum(1, true);
    const at::Tensor mine =
        variant.capacity_factor ? without_overflow(all, capacity) : all;
    dropped += all.gt(0).sum().item<int64_t>() - mine.gt(0).sum().item<int64_t>();
    y = y + mine * out;
  }
  const at::Tensor share = experts.flatten().bincount({}, kExperts) /
                           static_cast<double>(x.size(0) * kChoices);
  return {y, kExperts * (share * p.mean(0)).sum(), logits.logsumexp(1).square().mean(),
          dropped};
}

MoeOptions options(const Variant& variant) {
  return {{kChoices, variant.normalise},
          variant.capacity_factor,
          variant.router_dtype,
          kBalance,
          kZ};
}

void check_close(const at::Tensor& got, const at::Tensor& want, const char* what) {
  const double scale = want.abs().max().item<double>();
  const double error = (got.to(at::kDouble) - want).abs().max().item<double>();
  BOOST_TEST(error <= kTolerance * scale, what << " is off by " << error / scale);
}

void check_layer(DispatcherKind kind, const Variant& variant) {
  const auto& session = test::session();
  const auto group = session.make_group("experts", test::everyone(), comm::Backend::kMpi);
  const auto alone = session.make_group("alone", {session.rank()}, comm::Backend::kMpi);
  at::manual_seed(11);
  const Weights w{at::randn({kExperts, kHidden}),
                  at::randn({kExperts, 2 * kFfn, kHidden}),
                  at::randn({kExperts, kHidden, kFfn})};
  const at::Tensor x = at::randn({kTokens, kHidden}), dy = at::randn({kTokens, kHidden});

  const at::Tensor x64 = leaf(x.narrow(0, 0, kRouted));
  const Weights w64{leaf(w.router), leaf(w.gate_up), leaf(w.down)};
  const Oracle expected = oracle(x64, w64, variant);
  ((expected.y * dy.narrow(0, 0, kRouted)).sum() +
   kShare * (kBalance * expected.balance + kZ * expected.z))
      .backward();

  const int64_t mine = kExperts / group->size();
  const auto part = [&](const at::Tensor& t) {
    return t.narrow(0, group->rank() * mine, mine);
  };
  Parameter router = parameter(w.router), gate_up = parameter(part(w.gate_up)),
            down = parameter(part(w.down));
  const TensorRegion region(*alone, false);
  Turns turns;
  const auto dispatcher = make_dispatcher(kind, *group, kExperts, turns);
  const at::Tensor figures = at::zeros({RouterFigures::kTokens + kExperts}, at::kDouble);
  const Moe layer({router, gate_up, down}, options(variant),
                  {region, *dispatcher, nullptr, false}, figures);
  MicroBatch batch;
  batch.routed_tokens = kRouted;
  batch.share = kShare;
  for (const bool drop : {false, true}) {
    Moe::Saved saved;
    const at::Tensor y = layer.forward(x, batch, saved);
    check_close(y.narrow(0, 0, kRouted), expected.y.detach(), "y");
    BOOST_TEST(y.slice(0, kRouted).abs().max().item<double>() == 0.0);
    if (drop) Moe::drop_inner(saved);
    const at::Tensor dx = layer.backward(dy, x, batch, saved);
    check_close(dx.narrow(0, 0, kRouted), x64.grad(), "dx");
    BOOST_TEST(dx.slice(0, kRouted).abs().max().item<double>() == 0.0);
    const double passes = drop ? 2 : 1;  // the second adds to the first
    check_close(router.grad, w64.router.grad() * passes, "router");
    check_close(gate_up.grad, part(w64.gate_up.grad()) * passes * group->size(),
                "gate_up");
    check_close(down.grad, part(w64.down.grad()) * passes * group->size(), "down");
    check_close(figures.narrow(0, 0, 2),
                at::stack({expected.balance, expected.z}).detach() * kShare * passes,
                "figures");
    BOOST_TEST(figures.slice(0, RouterFigures::kTokens).sum().item<double>() ==
               kRouted * kChoices * passes);
    BOOST_TEST(figures[RouterFigures::kDropped].item<double>() ==
               static_cast<double>(expected.dropped) * passes);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(mixture_of_experts) {
  for (const auto kind : {DispatcherKind::kAllToAll, DispatcherKind::kAllGather})
    for (const bool normalise : {false, true})
      check_layer(kind, {normalise, {}, at::kFloat});
}

BOOST_AUTO_TEST_CASE(experts_of_limited_capacity) {
  for (const auto kind : {DispatcherKind::kAllToAll, DispatcherKind::kAllGather})
    for (const double factor : {0.1, 0.8, 2.0})
      check_layer(kind, {factor > 0.5, factor, at::kFloat});
}

BOOST_AUTO_TEST_CASE(routing_in_fp64) {
  check_layer(DispatcherKind::kAllToAll, {true, {}, at::kDouble});
}
