// What the kernel tests share: random inputs, the fp64 autograd oracle's leaves,
// comparison.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

namespace mtrain::kernels::test {

inline const std::vector<at::ScalarType> kDtypes{at::kFloat, at::kBFloat16};

/// Where the operators under test work: the same cases are compiled once for each device.
#ifndef MTRAIN_TEST_DEVICE
#define MTRAIN_TEST_DEVICE "cpu"
#endif
inline at::Device device() {
  return at::Device(MTRAIN_TEST_DEVICE);
}
inline at::TensorOptions on_device(at::ScalarType dtype = at::kFloat) {
  return at::device(device()).dtype(dtype);
}

/// Normal random values rounded to `dtype`, the same on every device.
inline at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::randn(sizes).to(dtype).to(device());
}

/// The same values in fp64, as a leaf whose .grad() the oracle's backward fills.
inline at::Tensor leaf(const at::Tensor& x) {
  return x.to(at::kDouble, false, true).detach().set_requires_grad(true);
}

/// What one rounding to dtype may cost, relative to the value.
inline double unit_roundoff(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? std::ldexp(1.0, -8) : std::ldexp(1.0, -24);
}

/// Largest |got - want| over the largest |want|.
inline double relative_error(const at::Tensor& got, const at::Tensor& want) {
  if (want.numel() == 0) return 0;
  const at::Tensor reference = want.detach().to(at::kDouble);
  const double scale = reference.abs().max().item<double>();
  const double error = (got.to(at::kDouble) - reference).abs().max().item<double>();
  return scale == 0 ? error : error / scale;
}

/// Allows `roundings` roundings to got's dtype, and `depth` to fp32 for what was summed.
inline void check_close(const at::Tensor& got, const at::Tensor& want, double roundings,
                        double depth, const std::string& what) {
  BOOST_TEST_INFO_SCOPE(what);
  BOOST_TEST_REQUIRE(want.defined());
  BOOST_TEST_REQUIRE((got.sizes() == want.sizes()));
  const double bound =
      roundings * unit_roundoff(got.scalar_type()) + depth * unit_roundoff(at::kFloat);
  const double error = relative_error(got, want);
  BOOST_TEST(error <= bound);  // fails for NaN too
}

/// Runs f with 1 and with 3 threads (on a GPU: twice); all tensors it returns must be the
/// same to the bit.
template <class F>
void check_threads(const F& f) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const std::vector<at::Tensor> one = f();
  at::set_num_threads(3);
  const std::vector<at::Tensor> three = f();
  at::set_num_threads(before);
  BOOST_TEST_REQUIRE(one.size() == three.size());
  for (size_t i = 0; i < one.size(); ++i) {
    BOOST_TEST_INFO_SCOPE("tensor " << i);
    BOOST_TEST(at::equal(one[i], three[i]));
  }
}

}  // namespace mtrain::kernels::test
