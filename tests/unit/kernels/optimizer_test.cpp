// AdamW against its definition in fp64 over several steps, and the sum of squares.
#include "mtrain/kernels/optimizer.hpp"

#include "mtrain/base/error.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

constexpr AdamW kOptions{1e-2, 0.9, 0.95, 1e-8, 0.1, 5.0};

SegmentTable table(std::vector<Segment> segments) {
  return SegmentTable(std::move(segments), at::kCPU);
}

/// The state's and the flat buffer's elements of a segment.
at::Tensor of_state(const at::Tensor& x, const Segment& s) {
  return x.narrow(0, s.state, s.length);
}
at::Tensor of_flat(const at::Tensor& x, const Segment& s) {
  return x.narrow(0, s.flat, s.length);
}

at::Tensor totals_of(double loss, double squares) {
  return at::tensor({loss, squares}, at::kDouble);
}

/// Random weights (flat), with the state of a fresh optimizer.
struct Problem {
  Problem(int64_t flat, int64_t owned, at::ScalarType dtype)
      : weights(random({flat}, dtype)),
        state{{}, at::zeros({owned}), at::zeros({owned})},
        updates(at::zeros({1}, at::kLong)) {
    if (dtype != at::kFloat) state.master = random({owned});
  }

  void update(const at::Tensor& grads, const SegmentTable& segments, double loss = 1.0) {
    const at::Tensor squares = sum_of_squares(grads, segments);
    const at::Tensor scalars =
        adamw_scalars(kOptions, totals_of(loss, squares.item<double>()), updates);
    adamw_update(scalars, state, grads, weights, segments);
  }
  /// Master weights of a segment.
  at::Tensor master(const Segment& s) const {
    return state.master.defined() ? of_state(state.master, s) : of_flat(weights, s);
  }

  at::Tensor weights;
  AdamWState state;
  at::Tensor updates;
};

/// The published algorithm (Loshchilov and Hutter, algorithm 2) in fp64 for one segment.
class Oracle {
 public:
  Oracle(const at::Tensor& start, bool decay)
      : p(start.to(at::kDouble).clone()),
        m(at::zeros_like(p)),
        v(at::zeros_like(p)),
        decay_(decay) {}

  void update(const at::Tensor& grad, double scale, int64_t t) {
    const at::Tensor g = grad.to(at::kDouble) * scale;
    if (decay_) p.mul_(1 - kOptions.learning_rate * kOptions.weight_decay);
    m.mul_(kOptions.beta1).add_(g, 1 - kOptions.beta1);
    v.mul_(kOptions.beta2).addcmul_(g, g, 1 - kOptions.beta2);
    const at::Tensor mhat = m / (1 - std::pow(kOptions.beta1, t));
    const at::Tensor vhat = v / (1 - std::pow(kOptions.beta2, t));
    p.sub_(kOptions.learning_rate * mhat / (vhat.sqrt() + kOptions.epsilon));
  }

  at::Tensor p, m, v;

 private:
  bool decay_;
};

void check_updates(at::ScalarType dtype) {
  const std::vector<Segment> list{
      {0, 40, 37, true}, {37, 100, 263, false}, {320, 400, 457, true}};
  const SegmentTable segments = table(list);
  Problem problem(900, 800, dtype);
  const at::Tensor start = problem.weights.clone();
  std::vector<Oracle> oracles;
  for (const Segment& s : list) oracles.emplace_back(problem.master(s), s.decay);
  for (int64_t t = 1; t <= 5; ++t) {
    const at::Tensor grads = random({900});
    const double norm = std::sqrt(sum_of_squares(grads, segments).item<double>());
    problem.update(grads, segments);
    for (size_t i = 0; i < list.size(); ++i)
      oracles[i].update(of_flat(grads, list[i]), std::min(1.0, 5.0 / (norm + 1e-6)), t);
  }
  BOOST_TEST(problem.updates.item<int64_t>() == 5);
  for (size_t i = 0; i < list.size(); ++i) {
    const Segment& s = list[i];
    check_close(problem.master(s), oracles[i].p, 5 * 4, 0, "master");
    check_close(of_state(problem.state.exp_avg, s), oracles[i].m, 5 * 4, 0, "m");
    check_close(of_state(problem.state.exp_avg_sq, s), oracles[i].v, 5 * 4, 0, "v");
    BOOST_TEST(at::equal(of_flat(problem.weights, s), problem.master(s).to(dtype)));
  }
  for (const Segment& gap : {Segment{0, 0, 40, false}, Segment{0, 77, 23, false},
                             Segment{0, 363, 37, false}, Segment{0, 857, 43, false}})
    BOOST_TEST(at::equal(of_flat(problem.weights, gap), of_flat(start, gap)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(adamw_matches_its_definition) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) check_updates(dtype);
}

BOOST_AUTO_TEST_CASE(long_segments_are_updated_whole) {
  at::manual_seed(2);
  const int64_t length = 3 * SegmentTable::kPiece + 5;
  const Segment s{0, 64, length, true};
  Problem problem(length + 64, length, at::kBFloat16);
  Oracle oracle(problem.master(s), true);
  const at::Tensor grads = random({length + 64}) * 1e-3;
  problem.update(grads, table({s}));
  oracle.update(of_flat(grads, s), 1.0, 1);
  check_close(problem.master(s), oracle.p, 4, 0, "master");
}

BOOST_AUTO_TEST_CASE(nothing_moves_where_loss_or_gradient_is_not_finite) {
  at::manual_seed(3);
  const SegmentTable segments = table({{0, 0, 100, true}});
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    for (const bool in_loss : {true, false}) {
      Problem problem(100, 100, at::kFloat);
      const at::Tensor start = problem.weights.clone();
      at::Tensor grads = random({100});
      if (!in_loss) grads[17] = bad;
      problem.update(grads, segments, in_loss ? bad : 1.0);
      BOOST_TEST(at::equal(problem.weights, start));
      BOOST_TEST(problem.state.exp_avg.ne(0).sum().item<int64_t>() == 0);
      BOOST_TEST(problem.updates.item<int64_t>() == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(refuses_segments_that_do_not_fit) {
  BOOST_CHECK_THROW(table({{0, 0, 6, true}, {5, 6, 5, true}}), Error);
  Problem problem(10, 10, at::kFloat);
  BOOST_CHECK_THROW(problem.update(at::ones({10}), table({{0, 0, 11, true}})), Error);
  BOOST_CHECK_THROW(problem.update(at::ones({10}), table({{1, 0, 10, true}})), Error);
}

BOOST_AUTO_TEST_CASE(sum_of_squares_is_in_fp64) {
  at::manual_seed(4);
  for (int64_t count : {0, 1, 1000, 200001}) {
    const at::Tensor x = random({count + 3});
    const at::Tensor part = x.narrow(0, 3, count).to(at::kDouble);
    const double want = part.square().sum().item<double>();
    const at::Tensor got = sum_of_squares(x, table({{0, 3, count, true}}));
    BOOST_TEST((got.scalar_type() == at::kDouble));
    BOOST_TEST(std::abs(got.item<double>() - want) <= 1e-13 * want);
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(5);
  const at::Tensor grads = random({300000});
  const SegmentTable segments = table({{0, 1, 299998, true}});
  check_threads([&]() -> std::vector<at::Tensor> {
    at::manual_seed(6);
    Problem problem(300000, 300000, at::kBFloat16);
    problem.update(grads, segments);
    return {sum_of_squares(grads, segments), problem.state.master, problem.weights,
            problem.state.exp_avg, problem.state.exp_avg_sq};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
