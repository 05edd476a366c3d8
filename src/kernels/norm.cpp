// Owns RMSNorm: checks shapes and picks the device's loops. Called by nn.
#include "mtrain/kernels/norm.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "device.hpp"

namespace mtrain::kernels {
namespace {

at::Tensor empty_rstd(const at::Tensor& x_TH) {
  return at::empty({x_TH.size(0)}, x_TH.options().dtype(at::kFloat));
}

void check_rows(const at::Tensor& x_TH, const at::Tensor& weight_H) {
  const at::ScalarType dtype = require_activation(x_TH, "rms_norm: x");
  require(x_TH, dtype, {-1, -1}, "rms_norm: x");
  require(weight_H, dtype, {x_TH.size(1)}, "rms_norm: weight");
}

}  // namespace

RmsNorm rms_norm_forward(const at::Tensor& x_TH, const at::Tensor& weight_H, double eps) {
  check_rows(x_TH, weight_H);
  RmsNorm out{at::empty_like(x_TH), empty_rstd(x_TH)};
  at::Tensor no_sum;
  MT_LOOPS(x_TH, rms_norm_forward)(x_TH, {}, weight_H, eps, no_sum, out.y_TH, out.rstd_T);
  return out;
}

AddRmsNorm add_rms_norm_forward(const at::Tensor& residual_TH, const at::Tensor& delta_TH,
                                const at::Tensor& weight_H, double eps) {
  check_rows(residual_TH, weight_H);
  require(delta_TH, residual_TH.scalar_type(), {residual_TH.size(0), residual_TH.size(1)},
          "add_rms_norm: delta");
  AddRmsNorm out{at::empty_like(residual_TH), at::empty_like(residual_TH),
                 empty_rstd(residual_TH)};
  MT_LOOPS(residual_TH, rms_norm_forward)
  (residual_TH, delta_TH, weight_H, eps, out.sum_TH, out.y_TH, out.rstd_T);
  return out;
}

at::Tensor rms_norm_apply(const at::Tensor& x_TH, const at::Tensor& weight_H,
                          const at::Tensor& rstd_T) {
  check_rows(x_TH, weight_H);
  require(rstd_T, at::kFloat, {x_TH.size(0)}, "rms_norm: rstd");
  at::Tensor y = at::empty_like(x_TH);
  MT_LOOPS(x_TH, rms_norm_apply)(x_TH, weight_H, rstd_T, y);
  return y;
}

at::Tensor rms_norm_backward(const at::Tensor& dy_TH, const at::Tensor& x_TH,
                             const at::Tensor& weight_H, const at::Tensor& rstd_T,
                             const at::Tensor& dresidual_TH, at::Tensor& dweight_H) {
  check_rows(x_TH, weight_H);
  const int64_t tokens = x_TH.size(0), hidden = x_TH.size(1);
  require(dy_TH, x_TH.scalar_type(), {tokens, hidden}, "rms_norm: dy");
  require(rstd_T, at::kFloat, {tokens}, "rms_norm: rstd");
  require(dweight_H, at::kFloat, {hidden}, "rms_norm: dweight");
  if (dresidual_TH.defined())
    require(dresidual_TH, x_TH.scalar_type(), {tokens, hidden}, "rms_norm: dresidual");
  at::Tensor dx = at::empty_like(x_TH);
  MT_LOOPS(dy_TH, rms_norm_backward)
  (dy_TH, x_TH, weight_H, rstd_T, dresidual_TH, dx, dweight_H);
  return dx;
}

}  // namespace mtrain::kernels
