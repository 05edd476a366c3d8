// SwiGLU against autograd in fp64.
#include "mtrain/kernels/activation.hpp"

#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

at::Tensor oracle(const at::Tensor& gate_up) {
  const std::vector<at::Tensor> halves = gate_up.chunk(2, 1);
  return at::silu(halves[0]) * halves[1];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(activation)

BOOST_AUTO_TEST_CASE(matches_autograd) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {0, 1, 7, 300}) {
      for (int64_t width : {1, 17, 160}) {
        BOOST_TEST_CONTEXT("T=" << tokens << " F=" << width << " " << dtype) {
          const at::Tensor x = random({tokens, 2 * width}, dtype);
          const at::Tensor dy = random({tokens, width}, dtype);
          const at::Tensor x64 = leaf(x), y64 = oracle(x64);
          y64.backward(dy.to(at::kDouble));
          check_close(swiglu_forward(x), y64, 1, 8, "y");
          const at::Tensor dx = swiglu_backward(dy, x);
          check_close(dx, x64.grad(), 1, 8, "dgate_up");
          const SwigluGrad both = swiglu_backward_recompute(dy, x);
          BOOST_TEST(at::equal(both.dgate_up, dx));
          BOOST_TEST(at::equal(both.y_TF, swiglu_forward(x)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(extreme_gates) {
  const at::Tensor x =
      at::tensor({-200.0f, -90.0f, 0.0f, 90.0f, 200.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f})
          .view({1, 10});
  const at::Tensor y = swiglu_forward(x);
  check_close(y, oracle(x.to(at::kDouble)), 4, 0, "y");
  const at::Tensor dx = swiglu_backward(at::ones({1, 5}), x);
  BOOST_TEST(dx.isfinite().all().item<bool>());
}

BOOST_AUTO_TEST_CASE(nan_stays) {
  at::Tensor x = at::ones({1, 64});
  x[0][5] = NAN;
  const at::Tensor y = swiglu_forward(x);
  BOOST_TEST(y.isnan().sum().item<int64_t>() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
