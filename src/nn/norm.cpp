// Norm layer of blocks and of the model's end.
#include "mtrain/nn/norm.hpp"

#include <ATen/ATen.h>

#include "mtrain/kernels/norm.hpp"

namespace mtrain::nn {

at::Tensor Stream::sum() const {
  return delta.defined() ? residual + delta : residual;
}

at::Tensor Norm::forward(const Stream& stream, Saved& saved) const {
  if (!stream.delta.defined()) {
    auto result = kernels::rms_norm_forward(stream.residual, weight_.weight, eps_);
    saved = {stream.residual, result.rstd_T, result.y_TH};
  } else {
    auto result = kernels::add_rms_norm_forward(stream.residual, stream.delta,
                                                weight_.weight, eps_);
    saved = {result.sum_TH, result.rstd_T, result.y_TH};
  }
  return saved.y;
}

at::Tensor Norm::output(const Saved& saved) const {
  if (saved.y.defined()) return saved.y;
  return kernels::rms_norm_apply(saved.x, weight_.weight, saved.rstd);
}

at::Tensor Norm::backward(const at::Tensor& dy, const at::Tensor& dresidual,
                          const Saved& saved) const {
  return kernels::rms_norm_backward(dy, saved.x, weight_.weight, saved.rstd, dresidual,
                                    weight_.grad);
}

}  // namespace mtrain::nn
