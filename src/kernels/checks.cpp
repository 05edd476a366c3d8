// Owns the argument checks shared by the operators of this folder.
#include "checks.hpp"

namespace mtrain::kernels {

void require(const at::Tensor& x, at::ScalarType dtype,
             std::initializer_list<int64_t> sizes, const char* what) {
  MT_CHECK(x.defined(), what, " is undefined");
  MT_CHECK(x.scalar_type() == dtype, what, " is ", x.scalar_type(), ", expected ", dtype);
  bool fits = x.dim() == static_cast<int64_t>(sizes.size());
  int64_t dim = 0;
  for (int64_t size : sizes) {
    fits = fits && (size < 0 || x.size(dim) == size);
    ++dim;
  }
  MT_CHECK(fits, what, " has shape ", x.sizes(), ", expected [", join(sizes, ", "),
           "] (-1: any)");
  MT_CHECK(x.is_contiguous(), what, " must be contiguous");
}

at::ScalarType require_activation(const at::Tensor& x, const char* what) {
  MT_CHECK(x.defined(), what, " is undefined");
  const at::ScalarType dtype = x.scalar_type();
  MT_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, what, " is ", dtype,
           ", expected float32 or bfloat16");
  return dtype;
}

}  // namespace mtrain::kernels
