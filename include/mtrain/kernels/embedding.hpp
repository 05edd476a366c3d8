// Rows of a vocabulary-parallel embedding table.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// out[t] = table[ids[t] - begin] where this slice holds the id, else zeros. ids_T int64.
at::Tensor embedding_forward(const at::Tensor& table_VH, const at::Tensor& ids_T,
                             int64_t begin);

/// grad[ids[t] - begin] += dy[t], fp32, for the ids this slice holds. Deterministic:
/// tokens are added in their order.
void embedding_backward(at::Tensor& grad_VH, const at::Tensor& dy_TH,
                        const at::Tensor& ids_T, int64_t begin);

}  // namespace mtrain::kernels
