// AdamW against its definition in fp64 over several steps, and the sum of squares.
#include "mtrain/kernels/optimizer.hpp"

#include "mtrain/base/error.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

AdamW options(int64_t step) {
  return {1e-2, 0.9, 0.95, 1e-8, 0.1, step, 0.5};
}

struct State {
  at::Tensor p, m, v;
};

/// The published algorithm (Loshchilov and Hutter, algorithm 2) over one segment.
void oracle(const AdamW& o, const Segment& s, const at::Tensor& grad, State& state) {
  const auto part = [&](const at::Tensor& x) {
    return x.narrow(0, s.begin, s.end - s.begin);
  };
  const at::Tensor g = part(grad).to(at::kDouble) * o.gradient_scale;
  at::Tensor p = part(state.p), m = part(state.m), v = part(state.v);
  if (s.decay) p.mul_(1 - o.learning_rate * o.weight_decay);
  m.mul_(o.beta1).add_(g, 1 - o.beta1);
  v.mul_(o.beta2).addcmul_(g, g, 1 - o.beta2);
  const at::Tensor mhat = m / (1 - std::pow(o.beta1, o.step));
  const at::Tensor vhat = v / (1 - std::pow(o.beta2, o.step));
  p.sub_(o.learning_rate * mhat / (vhat.sqrt() + o.epsilon));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(adamw_matches_its_definition) {
  at::manual_seed(1);
  const std::vector<Segment> segments{{0, 37, true}, {37, 300, false}, {320, 777, true}};
  at::Tensor master = random({800}), m = at::zeros({800}), v = at::zeros({800});
  at::Tensor weight = at::full({800}, 7.0f).to(at::kBFloat16);
  const at::Tensor start = master.clone();
  State state{leaf(master).detach().clone(), at::zeros({800}, at::kDouble),
              at::zeros({800}, at::kDouble)};
  for (int64_t step = 1; step <= 5; ++step) {
    const at::Tensor grad = random({800});
    adamw_update(options(step), master, m, v, grad, weight, segments);
    for (const Segment& s : segments) oracle(options(step), s, grad, state);
  }
  check_close(master, state.p, 5 * 4, 0, "master");
  check_close(m, state.m, 5 * 4, 0, "m");
  check_close(v, state.v, 5 * 4, 0, "v");
  for (const Segment& gap : {Segment{300, 320, false}, Segment{777, 800, false}}) {
    const auto part = [&](const at::Tensor& x) {
      return x.narrow(0, gap.begin, gap.end - gap.begin);
    };
    BOOST_TEST(at::equal(part(master), part(start)));
    BOOST_TEST(part(weight).eq(7).all().item<bool>());
  }
  for (const Segment& s : segments) {
    const auto part = [&](const at::Tensor& x) {
      return x.narrow(0, s.begin, s.end - s.begin);
    };
    BOOST_TEST(at::equal(part(weight), part(master).to(at::kBFloat16)));
  }
}

BOOST_AUTO_TEST_CASE(master_may_be_the_weight) {
  at::manual_seed(2);
  at::Tensor master = random({100}), copy = master.clone(), weight = at::zeros({100});
  const at::Tensor grad = random({100});
  at::Tensor m = at::zeros({100}), v = at::zeros({100}), m2 = m.clone(), v2 = v.clone();
  adamw_update(options(1), master, m, v, grad, master, {{0, 100, true}});
  adamw_update(options(1), copy, m2, v2, grad, weight, {{0, 100, true}});
  BOOST_TEST(at::equal(master, copy));
  BOOST_TEST(at::equal(weight, copy));
}

BOOST_AUTO_TEST_CASE(refuses_overlapping_segments) {
  at::Tensor x = at::zeros({10});
  BOOST_CHECK_THROW(
      adamw_update(options(1), x, x, x, x, x, {{0, 6, true}, {5, 10, true}}), Error);
  BOOST_CHECK_THROW(adamw_update(options(1), x, x, x, x, x, {{0, 11, true}}), Error);
  BOOST_CHECK_THROW(adamw_update(options(0), x, x, x, x, x, {{0, 1, true}}), Error);
}

BOOST_AUTO_TEST_CASE(sum_of_squares_is_in_fp64) {
  at::manual_seed(3);
  for (int64_t count : {0, 1, 1000, 200001}) {
    const at::Tensor x = random({count});
    const double want = x.to(at::kDouble).square().sum().item<double>();
    const at::Tensor got = sum_of_squares(x);
    BOOST_TEST((got.scalar_type() == at::kDouble));
    BOOST_TEST(std::abs(got.item<double>() - want) <= 1e-13 * want);
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(4);
  const at::Tensor x = random({300000}), start = random({300000});
  check_threads([&]() -> std::vector<at::Tensor> {
    at::Tensor p = start.clone(), m = at::zeros_like(p), v = at::zeros_like(p);
    adamw_update(options(3), p, m, v, x, p, {{1, 299999, true}});
    return {sum_of_squares(x), p, m, v};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
