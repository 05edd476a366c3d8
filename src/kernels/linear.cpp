// Owns the matrix products of a linear layer: own loops for fp32 results on the CPU, ATen
// for the rest. Called by nn.
#include "mtrain/kernels/linear.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "cpu/matmul.hpp"
#include "device.hpp"
#ifdef MTRAIN_CUDA
#include "cuda/bf16_parts.hpp"
#endif

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

/// Whether fp32 times bf16 is worth splitting the former for the GPU's matrix units.
bool splits(const at::Tensor& fp32, const at::Tensor& bf16) {
  return fp32.is_cuda() && fp32.scalar_type() == at::kFloat &&
         bf16.scalar_type() == at::kBFloat16;
}

at::Tensor parts_of([[maybe_unused]] const at::Tensor& fp32) {
  return MT_CUDA_OR(bf16_parts(fp32), at::Tensor());
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
  if (splits(dy, x)) {
    const at::Tensor parts = at::mm(parts_of(dy).t(), x, at::kFloat);
    const at::Tensor sum = parts.view({-1, dy.size(1), x.size(1)}).sum(0);
    accumulate == Accumulate::kAdd ? grad_fp32.add_(sum) : grad_fp32.copy_(sum);
    return;
  }
  if (dy.scalar_type() != x.scalar_type()) {
    linear_backward_weight(grad_fp32, dy.to(at::kFloat), x.to(at::kFloat), accumulate);
    return;
  }
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

at::Tensor linear_forward_fp32(const at::Tensor& x, const at::Tensor& weight) {
  if (x.is_cuda() && x.scalar_type() == at::kBFloat16)
    return at::mm(x, weight.t(), at::kFloat);
  return linear_forward(x.to(at::kFloat), weight.to(at::kFloat));
}

void linear_backward_input_fp32(at::Tensor& dx, const at::Tensor& dy_fp32,
                                const at::Tensor& weight) {
  if (!splits(dy_fp32, weight)) {
    dx += linear_backward_input(dy_fp32, weight.to(at::kFloat));
    return;
  }
  const at::Tensor parts = parts_of(dy_fp32);
  // Not by addmm: cuBLAS rounds the product before it adds.
  dx += at::mm(parts, weight.repeat({parts.size(1) / weight.size(0), 1}), at::kFloat);
}

}  // namespace mtrain::kernels
