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
  return at::tensor(counts, at::kInt).cumsum(0, at::kInt).to(device());
}

/// Whether a tensor of the operators' device holds these values.
bool has_values(const at::Tensor& got, const at::Tensor& want) {
  return at::equal(got.cpu(), want);
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
      BOOST_TEST(
          at::equal(routing.counts_E,
                    permutation_by_expert(routing.experts_TK, 16, Pairs::kAll).counts_E));
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
  const at::Tensor logits =
      at::tensor({1.0f, 2.0f, 2.0f, 1.0f, 2.0f, 0.0f}).view({1, 6}).to(device());
  const Routing routing = router_forward(logits, {4, true});
  BOOST_TEST(
      has_values(routing.experts_TK, at::tensor({1, 2, 4, 0}, at::kInt).view({1, 4})));
  const Routing nan = router_forward(at::full({1, 6}, NAN, on_device()), {4, true});
  BOOST_TEST(has_values(nan.experts_TK, at::tensor({0, 1, 2, 3}, at::kInt).view({1, 4})));
}

BOOST_AUTO_TEST_CASE(order_by_expert) {
  const at::Tensor experts = at::tensor({2, 0, -1, 2, 0, 3}, at::kInt).view({3, 2});
  const Permutation p =
      permutation_by_expert(experts.to(device()), 5, Pairs::kOfHeldExperts);
  BOOST_TEST(has_values(p.counts_E, at::tensor({2, 0, 2, 1, 0}, at::kInt)));
  BOOST_TEST(has_values(p.ends_E, at::tensor({2, 2, 4, 5, 5}, at::kInt)));
  BOOST_TEST(has_values(p.pairs_N, at::tensor({1, 4, 0, 3, 5}, at::kInt)));
  BOOST_TEST(has_values(p.tokens_N, at::tensor({0, 2, 0, 1, 2}, at::kInt)));
  BOOST_TEST(
      has_values(p.rows_TK, at::tensor({2, 0, -1, 3, 1, 4}, at::kInt).view({3, 2})));
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor x = random({3, 70}, dtype);
    const at::Tensor rows = gather_rows(x, p.tokens_N);
    BOOST_TEST(at::equal(rows, x.index_select(0, p.tokens_N)));
    const at::Tensor times =
        at::tensor({2.0, 1.0, 2.0}, at::kDouble).unsqueeze(1).to(device());
    check_close(sum_rows(rows, p.rows_TK), x.to(at::kDouble) * times, 1, 2, "sum");
  }
}

// Many tokens, so that a GPU's blocks each see a part of an expert's.
BOOST_AUTO_TEST_CASE(order_of_many_tokens) {
  at::manual_seed(4);
  const at::Tensor experts =
      std::get<1>(at::rand({1300, 70}).topk(6, 1)).to(at::kInt).contiguous();
  const Permutation p = permutation_by_expert(experts.to(device()), 70, Pairs::kAll);
  const auto sorted = [](const at::Tensor& x) {
    return std::get<1>(at::sort(x, std::optional<bool>(true), 0, false));
  };
  const at::Tensor order = sorted(experts.flatten());
  BOOST_TEST(has_values(p.pairs_N, order.to(at::kInt)));
  BOOST_TEST(has_values(p.tokens_N, order.floor_divide(6).to(at::kInt)));
  BOOST_TEST(has_values(p.rows_TK.flatten(), sorted(order).to(at::kInt)));
  const at::Tensor counts = at::bincount(experts.flatten(), {}, 70);
  BOOST_TEST(has_values(p.ends_E, counts.cumsum(0).to(at::kInt)));
}

// Five tokens, two choices of four experts: ceil(10 / 4 * 0.5) = 2 pairs each. Expert 0
// has four pairs, of weights 0.5 0.7 0.5 0.9: it keeps 0.9 and 0.7.
BOOST_AUTO_TEST_CASE(full_experts_keep_their_largest_weights) {
  const auto ints = [](at::ArrayRef<int> v) {
    return at::tensor(v, at::kInt).to(on_device().device());
  };
  Routing routing;
  routing.experts_TK = ints({0, 1, 0, 1, 2, 3, 0, 2, 0, 1}).view({5, 2});
  routing.weights_TK =
      at::tensor({0.5f, 0.5f, 0.7f, 0.3f, 0.6f, 0.4f, 0.5f, 0.5f, 0.9f, 0.5f})
          .view({5, 2})
          .to(on_device().device());
  routing.counts_E = ints({4, 3, 2, 1});
  limit_experts(routing, 0.5);
  // Of expert 1's 0.5 0.3 0.5 the two equal ones, of a third equal one the first two.
  BOOST_TEST(
      at::equal(routing.kept_TK, ints({-1, 1, 0, -1, 2, 3, -1, 2, 0, 1}).view({5, 2})));
  limit_experts(routing, 0.6);  // still ceil(1.5)
  BOOST_TEST(routing.kept_TK.ge(0).sum().item<int64_t>() == 7);
  limit_experts(routing, 100);
  BOOST_TEST(at::equal(routing.kept_TK, routing.experts_TK));
  routing.weights_TK.fill_(0.5);
  limit_experts(routing, 0.1);  // 1 pair: the first token's
  BOOST_TEST(at::equal(routing.kept_TK,
                       ints({0, 1, -1, -1, 2, 3, -1, -1, -1, -1}).view({5, 2})));
  Routing none = router_forward(at::zeros({0, 4}, on_device()), {2, true});
  limit_experts(none, 1);
  BOOST_TEST(none.kept_TK.sizes() == at::IntArrayRef({0, 2}));
}

BOOST_AUTO_TEST_CASE(totals_of_the_router) {
  at::manual_seed(5);
  for (const int64_t tokens : {0, 1, 3000}) {
    const Routing routing = router_forward(random({tokens, 40}) * 2, {3, true});
    const at::Tensor p = routing.probabilities_TE.to(at::kDouble);
    const at::Tensor sums = router_totals(routing);
    check_close(sums.narrow(0, 0, 40), p.sum(0), 0, 4, "probabilities");
    check_close(sums[40], routing.lse_T.to(at::kDouble).square().sum(), 0, 4, "lse^2");
    check_close(sums[41], -(p * p.clamp_min(1e-30).log()).sum(), 0, 16, "entropy");
  }
}

namespace {

void check_products(const std::vector<int32_t>& counts, int64_t in, int64_t out,
                    at::ScalarType dtype) {
  const at::Tensor ends = ends_of(counts);
  const auto experts = static_cast<int64_t>(counts.size());
  const int64_t rows = ends[experts - 1].item<int64_t>();
  const at::Tensor w = random({experts, out, in}, dtype), x = random({rows, in}, dtype),
                   dy = random({rows, out}, dtype);
  const at::Tensor y = grouped_linear_forward(x, w, ends),
                   dx = grouped_linear_backward_input(dy, w, ends);
  at::Tensor grad = at::full({experts, out, in}, NAN, on_device()),
             added = at::ones({experts, out, in}, on_device());
  grouped_linear_backward_weight(grad, dy, x, ends, Accumulate::kOverwrite);
  grouped_linear_backward_weight(added, dy, x, ends, Accumulate::kAdd);
  int64_t begin = 0;
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t count = counts[static_cast<size_t>(e)];
    BOOST_TEST_CONTEXT("expert " << e << " with " << count << " rows, in " << in
                                 << " out " << out << " " << dtype) {
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, begin, count).to(at::kDouble);
      };
      const auto depth = static_cast<double>(count);
      const at::Tensor w64 = w[e].to(at::kDouble), g64 = part(dy).t().mm(part(x));
      check_close(y.narrow(0, begin, count), part(x).mm(w64.t()), 1, in, "y");
      check_close(dx.narrow(0, begin, count), part(dy).mm(w64), 1, out, "dx");
      check_close(grad[e], g64, 0, 4 + depth, "grad");
      check_close(added[e], g64 + 1, 0, 4 + depth, "added");
    }
    begin += count;
  }
}

}  // namespace

// An expert in the middle and the last have no rows.
BOOST_AUTO_TEST_CASE(products_match_each_experts_own) {
  at::manual_seed(2);
  for (const at::ScalarType dtype : kDtypes) {
    check_products({3, 0, 70, 1, 0}, 40, 24, dtype);
    check_products({64, 200, 65, 129}, 64, 264, dtype);
    check_products({1}, 520, 136, dtype);
    check_products({0, 5, 300}, 33, 17, dtype);
    check_products({0, 0}, 16, 8, dtype);
  }
}

// A view that does not begin on 16 bytes, as the copy engine of a GPU wants it.
BOOST_AUTO_TEST_CASE(matrices_anywhere_in_memory) {
  at::manual_seed(7);
  const at::Tensor flat = random({3 + 2 * 16 * 24}, at::kBFloat16);
  const at::Tensor w = flat.narrow(0, 3, 2 * 16 * 24).view({2, 16, 24}),
                   x = random({9, 24}, at::kBFloat16);
  const at::Tensor ends = ends_of({4, 5});
  const at::Tensor y = grouped_linear_forward(x, w, ends);
  const at::Tensor x64 = x.to(at::kDouble), w64 = w.to(at::kDouble);
  check_close(y.narrow(0, 0, 4), x64.narrow(0, 0, 4).mm(w64[0].t()), 1, 24, "first");
  check_close(y.narrow(0, 4, 5), x64.narrow(0, 4, 5).mm(w64[1].t()), 1, 24, "second");
}

// More tiles than a GPU has multiprocessors: its blocks take several.
BOOST_AUTO_TEST_CASE(products_of_many_tiles) {
  at::manual_seed(6);
  std::vector<int32_t> counts;
  for (int32_t e = 0; e < 40; ++e) counts.push_back(e * 37 % 290);
  check_products(counts, 512, 320, at::kBFloat16);
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
