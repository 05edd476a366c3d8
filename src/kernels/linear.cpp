// Owns the matrix products of a linear layer: own loops for fp32 results on the CPU, ATen
// for the rest. Called by nn.
#include "mtrain/kernels/linear.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "checks.hpp"
#include "cpu/matmul.hpp"

namespace mtrain::kernels {
namespace {

using c10::BFloat16;

/// Whether the own product reads x: a matrix on the CPU with dense rows.
bool suits(const at::Tensor& x, at::ScalarType dtype) {
  return x.is_cpu() && x.scalar_type() == dtype && x.dim() == 2 && x.stride(1) == 1;
}

template <class T>
cpu::Strided<T> plain(const at::Tensor& x) {
  return {x.const_data_ptr<T>(), x.stride(0), 1};
}

template <class T>
cpu::Strided<T> transposed(const at::Tensor& x) {
  return {x.const_data_ptr<T>(), 1, x.stride(0)};
}

template <class T>
void weight_product(at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x,
                    bool add) {
  cpu::matmul(grad.size(0), grad.size(1), x.size(0), transposed<T>(dy), plain<T>(x),
              grad.mutable_data_ptr<float>(), grad.stride(0), add);
}

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
  if (suits(x, at::kFloat) && suits(weight, at::kFloat) && suits(y, at::kFloat))
    cpu::matmul(y.size(0), y.size(1), x.size(1), plain<float>(x),
                transposed<float>(weight), y.mutable_data_ptr<float>(), y.stride(0),
                false);
  else
    at::mm_out(y, x, weight.t());
}

at::Tensor linear_backward_input(const at::Tensor& dy, const at::Tensor& weight) {
  at::Tensor dx = at::empty({dy.size(0), weight.size(1)}, dy.options());
  linear_backward_input_out(dx, dy, weight);
  return dx;
}

void linear_backward_input_out(at::Tensor& dx, const at::Tensor& dy,
                               const at::Tensor& weight) {
  MT_CHECK(dx.size(0) == dy.size(0) && dx.size(1) == weight.size(1) &&
               dy.size(1) == weight.size(0),
           "linear: ", dx.sizes(), " = ", dy.sizes(), " * ", weight.sizes());
  if (suits(dy, at::kFloat) && suits(weight, at::kFloat) && suits(dx, at::kFloat))
    cpu::matmul(dx.size(0), dx.size(1), dy.size(1), plain<float>(dy),
                plain<float>(weight), dx.mutable_data_ptr<float>(), dx.stride(0), false);
  else
    at::mm_out(dx, dy, weight);
}

void linear_backward_weight(at::Tensor& grad_fp32, const at::Tensor& dy,
                            const at::Tensor& x, Accumulate accumulate) {
  MT_CHECK(grad_fp32.scalar_type() == at::kFloat, "linear: gradient is ",
           grad_fp32.scalar_type());
  MT_CHECK(dy.size(0) == x.size(0) && grad_fp32.size(0) == dy.size(1) &&
               grad_fp32.size(1) == x.size(1),
           "linear: ", grad_fp32.sizes(), " += ", dy.sizes(), "^T * ", x.sizes());
  const bool add = accumulate == Accumulate::kAdd, rows = suits(grad_fp32, at::kFloat);
  if (rows && suits(dy, at::kFloat) && suits(x, at::kFloat))
    weight_product<float>(grad_fp32, dy, x, add);
  else if (rows && suits(dy, at::kBFloat16) && suits(x, at::kBFloat16))
    weight_product<BFloat16>(grad_fp32, dy, x, add);
  else if (grad_fp32.is_cuda() && dy.scalar_type() == at::kBFloat16)
    at::addmm_out(grad_fp32, grad_fp32, dy.t(), x, at::kFloat, add ? 1 : 0, 1);
  else
    at::addmm_out(grad_fp32, grad_fp32, dy.to(at::kFloat).t(), x.to(at::kFloat),
                  add ? 1 : 0, 1);
}

}  // namespace mtrain::kernels
