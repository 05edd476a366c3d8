// RMSNorm against autograd in fp64.
#include "mtrain/kernels/norm.hpp"

#include "mtrain/base/error.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

constexpr double kEps = 1e-6;
constexpr double kRatio = 65536;  // a rounding to bf16 over one to fp32

at::Tensor oracle(const at::Tensor& x, const at::Tensor& weight) {
  return weight * (x * (x.square().mean(-1, true) + kEps).rsqrt());
}

void check_norm(int64_t tokens, int64_t hidden, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT("T=" << tokens << " H=" << hidden << " " << dtype) {
    const at::Tensor x = random({tokens, hidden}, dtype),
                     weight = random({hidden}, dtype);
    const at::Tensor dy = random({tokens, hidden}, dtype);
    const at::Tensor dresidual = random({tokens, hidden}, dtype);
    const at::Tensor x64 = leaf(x), weight64 = leaf(weight);
    const at::Tensor y64 = oracle(x64, weight64);
    y64.backward(dy.to(at::kDouble));

    const RmsNorm out = rms_norm_forward(x, weight, kEps);
    BOOST_TEST((out.y_TH.scalar_type() == dtype));
    check_close(out.y_TH, y64, 3, 8, "y");
    check_close(out.rstd_T, (x64.square().mean(-1) + kEps).rsqrt(), 8, 0, "rstd");
    BOOST_TEST(at::equal(rms_norm_apply(x, weight, out.rstd_T), out.y_TH));

    at::Tensor dweight = at::full({hidden}, 2.0f, on_device());
    const at::Tensor dx = rms_norm_backward(dy, x, weight, out.rstd_T, {}, dweight);
    const double depth = 8 + std::sqrt(static_cast<double>(tokens + hidden));
    check_close(dx, x64.grad(), 2, depth, "dx");
    // In bf16 each summand holds one rounding to bf16, and they do not cancel as the sum
    // may.
    const double summand = dtype == at::kBFloat16 ? kRatio : 0;
    check_close(dweight - 2.0f, weight64.grad(), 4, depth + summand, "dweight");

    at::Tensor again = at::zeros({hidden}, on_device());
    const at::Tensor sum = rms_norm_backward(dy, x, weight, out.rstd_T, dresidual, again);
    check_close(sum, x64.grad() + dresidual.to(at::kDouble), 2, depth, "dx + dresidual");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(norm)

BOOST_AUTO_TEST_CASE(matches_autograd) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes)
    for (int64_t tokens : {1, 7, 300})
      for (int64_t hidden : {2, 17, 64, 1024}) check_norm(tokens, hidden, dtype);
}

BOOST_AUTO_TEST_CASE(bf16_rounds_before_the_weight) {
  at::manual_seed(2);
  const at::Tensor x = random({64, 128}, at::kBFloat16),
                   weight = random({128}, at::kBFloat16);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor normed =
      (wide * (wide.square().mean(-1, true) + kEps).rsqrt()).to(at::kBFloat16);
  const at::Tensor same = rms_norm_forward(x, weight, kEps).y_TH.eq(normed * weight);
  // A last-bit difference of rstd in fp32 flips the odd rounding; another order flips a
  // third.
  BOOST_TEST(same.to(at::kFloat).mean().item<float>() > 0.999);
}

BOOST_AUTO_TEST_CASE(sum_is_rounded_before_it_is_normalised) {
  at::manual_seed(3);
  for (at::ScalarType dtype : kDtypes) {
    const at::Tensor residual = random({9, 48}, dtype), delta = random({9, 48}, dtype);
    const at::Tensor weight = random({48}, dtype);
    const AddRmsNorm out = add_rms_norm_forward(residual, delta, weight, kEps);
    BOOST_TEST(at::equal(out.sum_TH, residual + delta));
    const RmsNorm alone = rms_norm_forward(residual + delta, weight, kEps);
    BOOST_TEST(at::equal(out.y_TH, alone.y_TH));
    BOOST_TEST(at::equal(out.rstd_T, alone.rstd_T));
  }
}

BOOST_AUTO_TEST_CASE(no_tokens) {
  at::Tensor dweight = at::ones({8}, on_device());
  const at::Tensor x = at::empty({0, 8}, on_device()),
                   weight = at::ones({8}, on_device());
  const RmsNorm out = rms_norm_forward(x, weight, kEps);
  rms_norm_backward(x, x, weight, out.rstd_T, {}, dweight);
  BOOST_TEST(at::equal(dweight, at::ones({8}, on_device())));
}

BOOST_AUTO_TEST_CASE(nan_stays) {
  at::Tensor x = at::ones({2, 40}, on_device());
  x[1][3] = NAN;
  const at::Tensor y = rms_norm_forward(x, at::ones({40}, on_device()), kEps).y_TH;
  BOOST_TEST(!y[0].isnan().any().item<bool>());
  BOOST_TEST(y[1].isnan().all().item<bool>());
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(4);
  const at::Tensor x = random({1500, 96}), dy = random({1500, 96}), weight = random({96});
  check_threads([&]() -> std::vector<at::Tensor> {
    const RmsNorm out = rms_norm_forward(x, weight, kEps);
    at::Tensor dweight = at::zeros({96}, on_device());
    const at::Tensor dx = rms_norm_backward(dy, x, weight, out.rstd_T, {}, dweight);
    return {out.y_TH, dx, dweight};
  });
}

BOOST_AUTO_TEST_CASE(refuses_other_shapes_and_types) {
  const at::Tensor x = at::ones({2, 8}, on_device());
  BOOST_CHECK_THROW(rms_norm_forward(x, at::ones({7}, on_device()), kEps), Error);
  BOOST_CHECK_THROW(rms_norm_forward(x.t(), at::ones({2}, on_device()), kEps), Error);
  BOOST_CHECK_THROW(rms_norm_forward(x.to(at::kDouble), at::ones({8}, on_device()), kEps),
                    Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
