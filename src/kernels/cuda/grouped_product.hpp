// Products of experts' weights and rows sorted by expert, all experts in one launch, on
// Hopper's matrix units. Used by cuda/experts.cpp. Legend as in kernels/experts.hpp.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels::cuda {

/// Whether the current GPU has these units, and the tensors the form its copy engine
/// takes: bf16 rows, both sizes of the matrices a multiple of 8, all on 16 bytes.
bool suits_grouped_product(const at::Tensor& rows, const at::Tensor& matrices_EOI);

/// y = x * w^T by expert. ends_E on the device; the host waits for nothing.
void grouped_forward(const at::Tensor& x_NI, const at::Tensor& weight_EOI,
                     const at::Tensor& ends_E, at::Tensor& y_NO);
/// dx = dy * w by expert.
void grouped_backward_input(const at::Tensor& dy_NO, const at::Tensor& weight_EOI,
                            const at::Tensor& ends_E, at::Tensor& dx_NI);
/// grad += (or =) dy^T * x by expert, in fp32.
void grouped_backward_weight(at::Tensor& grad_EOI, const at::Tensor& dy_NO,
                             const at::Tensor& x_NI, const at::Tensor& ends_E, bool add);

}  // namespace mtrain::kernels::cuda
