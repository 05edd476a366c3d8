// The building blocks of the CPU loops: exp, bf16 rounding, the small matrix product.
#include "kernels/cpu/simd.hpp"

#include "kernels/cpu/product.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels::cpu {
namespace {

MT_SIMD void exp_all(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = exp_fast(x[i]);
}

MT_SIMD void round_all(const float* x, BFloat16* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = rounded<BFloat16>(x[i]);
}

/// Every `step`-th bit pattern of fp32, NaN and infinities included.
std::vector<float> patterns(uint64_t step) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += step)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (float special : {kInfinity, -kInfinity, 0.0f, -0.0f}) x.push_back(special);
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd)

BOOST_AUTO_TEST_CASE(exp_is_within_two_ulp) {
  const std::vector<float> x = patterns(4099);
  std::vector<float> y(x.size());
  exp_all(x.data(), y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(static_cast<double>(x[i]));
    const float nearest = static_cast<float>(want);
    if (std::isnan(want) || std::isinf(nearest)) {
      BOOST_TEST_REQUIRE((std::isnan(want) ? std::isnan(y[i]) : y[i] == nearest),
                         "exp(" << x[i] << ") = " << y[i]);
      continue;
    }
    const double ulp = std::nextafter(nearest, kInfinity) - static_cast<double>(nearest);
    worst = std::max(worst, std::abs(y[i] - want) / ulp);
  }
  BOOST_TEST(worst <= 2.0);
}

BOOST_AUTO_TEST_CASE(bf16_rounds_to_nearest_even) {
  std::vector<float> x = patterns(8191);
  for (float tie : {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f}) x.push_back(tie);
  std::vector<BFloat16> y(x.size());
  round_all(x.data(), y.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const BFloat16 want(x[i]);
    const bool same = std::isnan(x[i]) ? std::isnan(load(y[i])) : want.x == y[i].x;
    BOOST_TEST_REQUIRE(same, x[i] << " became " << load(y[i]));
  }
}

BOOST_AUTO_TEST_CASE(product_matches_fp64) {
  at::manual_seed(1);
  for (int64_t rows : {8, 64}) {
    for (int64_t columns : {16, 48, 64}) {
      for (int64_t depth : {1, 16, 128}) {
        for (bool transposed : {false, true}) {
          const at::Tensor a =
              transposed ? at::randn({depth, rows}).t() : at::randn({rows, depth});
          const at::Tensor b = at::randn({depth, columns + 16});
          at::Tensor c = at::randn({rows, columns});
          const at::Tensor exact =
              at::mm(a.to(at::kDouble), b.narrow(1, 0, columns).to(at::kDouble));
          const at::Tensor sum = c.to(at::kDouble) + exact;
          Product product{rows,
                          columns,
                          depth,
                          a.data_ptr<float>(),
                          a.stride(0),
                          a.stride(1),
                          b.data_ptr<float>(),
                          b.stride(0),
                          c.data_ptr<float>(),
                          columns,
                          true};
          multiply(product);
          test::check_close(c, sum, 1, 2.0 + depth, "added");
          product.add = false;
          multiply(product);
          test::check_close(c, exact, 1, 2.0 + depth, "set");
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels::cpu
