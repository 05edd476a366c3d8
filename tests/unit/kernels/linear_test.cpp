// The three products of a linear layer against fp64.
#include "mtrain/kernels/linear.hpp"

#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

void check_linear(int64_t tokens, int64_t in, int64_t out, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT("T=" << tokens << " in=" << in << " out=" << out << " " << dtype) {
    const at::Tensor x = random({tokens, in}, dtype), w = random({out, in}, dtype);
    const at::Tensor dy = random({tokens, out}, dtype);
    const at::Tensor x64 = leaf(x), w64 = leaf(w);
    const at::Tensor y64 = at::mm(x64, w64.t());
    y64.backward(dy.to(at::kDouble));
    const at::Tensor y = linear_forward(x, w);
    BOOST_TEST((y.scalar_type() == dtype));
    check_close(y, y64, 1, 4 + in, "y");
    check_close(linear_backward_input(dy, w), x64.grad(), 1, 4 + out, "dx");
    at::Tensor grad = at::full({out, in}, 1.5f, on_device());
    linear_backward_weight(grad, dy, x, Accumulate::kAdd);
    // fp32 whatever the inputs' dtype: no bf16 rounding is allowed here.
    check_close(grad, w64.grad() + 1.5, 0, 4 + tokens, "dw");
    linear_backward_weight(grad, dy, x, Accumulate::kOverwrite);
    check_close(grad, w64.grad(), 0, 4 + tokens, "dw over stale values");
    at::Tensor kept = at::full({tokens, out}, NAN, on_device()).to(dtype);
    const void* storage = kept.data_ptr();
    linear_forward_out(kept, x, w);
    BOOST_TEST(kept.data_ptr() == storage);
    BOOST_TEST(at::equal(kept, y));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(linear)

BOOST_AUTO_TEST_CASE(matches_fp64) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {1, 7, 256}) {
      check_linear(tokens, 64, 320, dtype);
      check_linear(tokens, 17, 33, dtype);
      check_linear(tokens, 160, 64, dtype);
    }
    check_linear(600, 300, 700, dtype);
    check_linear(40, 270, 1100, dtype);
  }
  check_linear(4500, 24, 40, at::kBFloat16);
}

// As a router uses them: no rounding to bf16 but that of the sum in dx.
BOOST_AUTO_TEST_CASE(fp32_results_of_any_inputs) {
  at::manual_seed(4);
  for (at::ScalarType dtype : kDtypes) {
    const at::Tensor x = random({300, 64}, dtype), w = random({24, 64}, dtype);
    const at::Tensor dy = random({300, 24}), dx = random({300, 64}, dtype);
    const at::Tensor x64 = x.to(at::kDouble), w64 = w.to(at::kDouble),
                     dy64 = dy.to(at::kDouble);
    check_close(linear_forward_fp32(x, w), x64.mm(w64.t()), 0, 70, "y");
    at::Tensor sum = dx.clone();
    linear_backward_input_fp32(sum, dy, w);
    check_close(sum, dx.to(at::kDouble) + dy64.mm(w64), 1, 30, "dx");
    at::Tensor grad = at::full({24, 64}, 0.5f, on_device());
    linear_backward_weight(grad, dy, x, Accumulate::kAdd);
    check_close(grad, dy64.t().mm(x64) + 0.5, 0, 310, "dw");
    linear_backward_weight(grad, dy, x, Accumulate::kOverwrite);
    check_close(grad, dy64.t().mm(x64), 0, 310, "dw over stale values");
  }
}

BOOST_AUTO_TEST_CASE(no_tokens) {
  for (at::ScalarType dtype : kDtypes) {
    const at::Tensor x = at::empty({0, 8}, on_device(dtype)),
                     w = at::ones({5, 8}, on_device(dtype));
    const at::Tensor y = linear_forward(x, w);
    BOOST_TEST((y.sizes() == at::IntArrayRef{0, 5}));
    BOOST_TEST((linear_backward_input(y, w).sizes() == at::IntArrayRef{0, 8}));
    at::Tensor grad = at::ones({5, 8}, on_device());
    linear_backward_weight(grad, y, x, Accumulate::kAdd);
    BOOST_TEST(at::equal(grad, at::ones({5, 8}, on_device())));
  }
}

BOOST_AUTO_TEST_CASE(views_are_read_by_their_strides) {
  at::manual_seed(2);
  const at::Tensor wide = random({50, 100}), w = random({20, 40});
  const at::Tensor x = wide.narrow(1, 30, 40);
  check_close(linear_forward(x, w), at::mm(x.to(at::kDouble), w.to(at::kDouble).t()), 1,
              44, "y");
  const at::Tensor turned = random({40, 50}).t();  // rows are not dense
  check_close(linear_forward(turned, w),
              at::mm(turned.to(at::kDouble), w.to(at::kDouble).t()), 1, 44,
              "y of a transposed x");
  at::Tensor rows = at::zeros({90, 20}, on_device());
  at::Tensor middle = rows.narrow(0, 10, 50);
  linear_forward_out(middle, x, w);
  check_close(rows.narrow(0, 10, 50), at::mm(x.to(at::kDouble), w.to(at::kDouble).t()), 1,
              44, "rows of a buffer");
  BOOST_TEST(rows.narrow(0, 60, 30).abs().max().item<float>() == 0);
  at::Tensor grad = at::zeros({30, 40}, on_device());
  linear_backward_weight(grad, wide.narrow(1, 0, 30), x, Accumulate::kAdd);
  check_close(grad, at::mm(wide.narrow(1, 0, 30).to(at::kDouble).t(), x.to(at::kDouble)),
              0, 54, "dw");
}

BOOST_AUTO_TEST_CASE(nan_reaches_its_row_only) {
  at::Tensor x = at::ones({40, 64}, on_device());
  x[3][5] = NAN;
  const at::Tensor y = linear_forward(x, at::ones({70, 64}, on_device()));
  BOOST_TEST(y[3].isnan().all().item<bool>());
  BOOST_TEST(y.isnan().sum().item<int64_t>() == 70);
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(3);
  const at::Tensor x = random({700, 320}), w = random({250, 320}),
                   dy = random({700, 250});
  check_threads([&]() -> std::vector<at::Tensor> {
    at::Tensor grad = at::zeros({250, 320}, on_device());
    linear_backward_weight(grad, dy, x, Accumulate::kAdd);
    return {linear_forward(x, w), linear_backward_input(dy, w), grad};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
