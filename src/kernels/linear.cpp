// Owns the matrix products of a linear layer, through ATen on every device. Called by nn.
#include "mtrain/kernels/linear.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "checks.hpp"

namespace mtrain::kernels {
namespace {

/// Rows of a bf16 weight gradient turned to fp32 at a time: bounds the copies' memory.
constexpr int64_t kRowChunk = 2048;

}  // namespace

at::Tensor linear_forward(const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  linear_forward_out(y, x, weight);
  return y;
}

void linear_forward_out(at::Tensor& y, const at::Tensor& x, const at::Tensor& weight) {
  MT_CHECK(y.size(0) == x.size(0) && y.size(1) == weight.size(0) &&
               x.size(1) == weight.size(1),
           "linear: ", y.sizes(), " = ", x.sizes(), " * ", weight.sizes(), "^T");
  at::mm_out(y, x, weight.t());
}

at::Tensor linear_backward_input(const at::Tensor& dy, const at::Tensor& weight) {
  return at::mm(dy, weight);
}

void linear_backward_weight(at::Tensor& grad_fp32, const at::Tensor& dy,
                            const at::Tensor& x) {
  MT_CHECK(grad_fp32.scalar_type() == at::kFloat, "linear: gradient is ",
           grad_fp32.scalar_type());
  const int64_t tokens = x.size(0);
  const int64_t chunk = x.scalar_type() == at::kFloat ? tokens : kRowChunk;
  for (int64_t t = 0; t < tokens; t += chunk) {
    const int64_t count = std::min(chunk, tokens - t);
    grad_fp32.addmm_(dy.narrow(0, t, count).to(at::kFloat).t(),
                     x.narrow(0, t, count).to(at::kFloat));
  }
}

}  // namespace mtrain::kernels
