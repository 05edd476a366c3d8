// Routing, order by expert and the experts' products against autograd in fp64.
#include "mtrain/kernels/experts.hpp"

#include "mtrain/kernels/permute.hpp"
#include "mtrain/kernels/router.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

/// Cumulative ends of rows per expert.
at::Tensor ends_of(const std::vector<int32_t>& counts) {
  return at::tensor(counts, at::kInt).cumsum(0, at::kInt);
}

/// Weights of the chosen experts as a function of the logits, experts given.
at::Tensor weights_of(const at::Tensor& logits, const at::Tensor& experts,
                      bool normalise) {
  const at::Tensor p = logits.softmax(1).gather(1, experts.to(at::kLong));
  return normalise ? p / p.sum(1, true) : p;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(experts)

BOOST_AUTO_TEST_CASE(router_matches_autograd) {
  at::manual_seed(1);
  for (const int64_t tokens : {0, 1, 37, 3000}) {
    for (const bool normalise : {false, true}) {
      const RouterOptions options{4, normalise};
      const at::Tensor logits = random({tokens, 16}) * 3, dweights = random({tokens, 4});
      const Routing routing = router_forward(logits, options);
      const at::Tensor x64 = leaf(logits);
      const auto [top, expected] = x64.softmax(1).topk(4, 1);
      BOOST_TEST(at::equal(routing.experts_TK.to(at::kLong), expected));
      BOOST_TEST(at::equal(routing.counts_E,
                           permutation_by_expert(routing.experts_TK, 16).counts_E));
      const at::Tensor weights = weights_of(x64, routing.experts_TK, normalise);
      check_close(routing.weights_TK, weights, 4, 16, "weights");
      check_close(routing.lse_T, x64.logsumexp(1), 4, 16, "lse");
      const at::Tensor balance = random({16});
      const at::Tensor lse = x64.logsumexp(1);
      ((weights * dweights).sum() + (x64.softmax(1) * balance).sum() +
       0.5 * 0.25 * lse.square().sum())
          .backward();
      const at::Tensor dx = router_backward(dweights, routing, options, {balance, 0.25});
      check_close(dx, x64.grad(), 8, 32, "dlogits");
    }
  }
}

BOOST_AUTO_TEST_CASE(ties_go_to_the_lower_index) {
  const at::Tensor logits = at::tensor({1.0f, 2.0f, 2.0f, 1.0f, 2.0f, 0.0f}).view({1, 6});
  const Routing routing = router_forward(logits, {4, true});
  BOOST_TEST(
      at::equal(routing.experts_TK, at::tensor({1, 2, 4, 0}, at::kInt).view({1, 4})));
  const Routing nan = router_forward(at::full({1, 6}, NAN), {4, true});
  BOOST_TEST(at::equal(nan.experts_TK, at::tensor({0, 1, 2, 3}, at::kInt).view({1, 4})));
}

BOOST_AUTO_TEST_CASE(order_by_expert) {
  const at::Tensor experts = at::tensor({2, 0, -1, 2, 0, 3}, at::kInt).view({3, 2});
  const Permutation p = permutation_by_expert(experts, 5);
  BOOST_TEST(at::equal(p.counts_E, at::tensor({2, 0, 2, 1, 0}, at::kInt)));
  BOOST_TEST(at::equal(p.pairs_N, at::tensor({1, 4, 0, 3, 5}, at::kInt)));
  BOOST_TEST(at::equal(p.tokens_N, at::tensor({0, 2, 0, 1, 2}, at::kInt)));
  BOOST_TEST(
      at::equal(p.rows_TK, at::tensor({2, 0, -1, 3, 1, 4}, at::kInt).view({3, 2})));
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor x = random({3, 70}, dtype);
    const at::Tensor rows = gather_rows(x, p.tokens_N);
    BOOST_TEST(at::equal(rows, x.index_select(0, p.tokens_N)));
    const at::Tensor times = at::tensor({2.0, 1.0, 2.0}, at::kDouble).unsqueeze(1);
    check_close(sum_rows(rows, p.rows_TK), x.to(at::kDouble) * times, 1, 2, "sum");
  }
}

// An expert in the middle and the last have no rows.
BOOST_AUTO_TEST_CASE(products_match_each_experts_own) {
  at::manual_seed(2);
  const std::vector<int32_t> counts = {3, 0, 70, 1, 0};
  const at::Tensor ends = ends_of(counts);
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor w = random({5, 24, 40}, dtype), x = random({74, 40}, dtype),
                     dy = random({74, 24}, dtype);
    const at::Tensor y = grouped_linear_forward(x, w, ends),
                     dx = grouped_linear_backward_input(dy, w, ends);
    at::Tensor grad = at::full({5, 24, 40}, 7.0), added = at::ones({5, 24, 40});
    grouped_linear_backward_weight(grad, dy, x, ends, Accumulate::kOverwrite);
    grouped_linear_backward_weight(added, dy, x, ends, Accumulate::kAdd);
    int64_t begin = 0;
    for (int64_t e = 0; e < 5; ++e) {
      const int64_t count = counts[static_cast<size_t>(e)];
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, begin, count).to(at::kDouble);
      };
      const at::Tensor w64 = w[e].to(at::kDouble), g64 = part(dy).t().mm(part(x));
      check_close(y.narrow(0, begin, count), part(x).mm(w64.t()), 1, 40, "y");
      check_close(dx.narrow(0, begin, count), part(dy).mm(w64), 1, 24, "dx");
      check_close(grad[e], g64, 1, 70, "grad");
      check_close(added[e], g64 + 1, 1, 70, "added");
      begin += count;
    }
  }
}

BOOST_AUTO_TEST_CASE(weighted_swiglu_matches_autograd) {
  at::manual_seed(3);
  for (const at::ScalarType dtype : kDtypes) {
    for (const int64_t rows : {0, 1, 300}) {
      for (const int64_t width : {1, 17, 160}) {
        const at::Tensor x = random({rows, 2 * width}, dtype), w = random({rows}),
                         dy = random({rows, width}, dtype);
        const at::Tensor x64 = leaf(x), w64 = leaf(w);
        const auto halves = x64.chunk(2, 1);
        const at::Tensor y64 = at::silu(halves[0]) * halves[1] * w64.unsqueeze(1);
        y64.backward(dy.to(at::kDouble));
        check_close(weighted_swiglu_forward(x, w), y64, 1, 8, "y");
        const WeightedSwigluGrad grad = weighted_swiglu_backward(dy, x, w);
        BOOST_TEST(at::equal(grad.y_NF, weighted_swiglu_forward(x, w)));
        check_close(grad.dgate_up, x64.grad(), 1, 8, "dgate_up");
        check_close(grad.dweight_N, w64.grad(), 1, 32, "dweight");
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
