// Vocabulary-parallel cross-entropy over a chunk of logits. The layer above combines the
// row statistics of the tensor-parallel ranks between the two passes; kernels never
// communicate.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

/// Which columns of the logits this rank holds: local column j is vocabulary entry begin
/// + j; columns from `valid` on are padding and take no probability mass.
struct VocabSlice {
  int64_t begin;
  int64_t valid;
};

struct RowStatistics {
  at::Tensor
      max_T;  ///< fp32 largest valid logit of the row (-inf when the slice is empty)
  at::Tensor sum_T;     ///< fp32 sum of exp(logit - max)
  at::Tensor target_T;  ///< fp32 logit of the target where this slice holds it, else 0
};

/// One pass over logits [T, V_local] (any float dtype, row-contiguous). targets_T int64;
/// a negative target (ignored position) is held by no slice.
RowStatistics cross_entropy_statistics(const at::Tensor& logits_TV,
                                       const at::Tensor& targets_T,
                                       const VocabSlice& slice);

/// In place: logits <- (exp(logit - lse) - [column is target]) * weight_T, padding
/// columns <- 0. lse_T and weight_T fp32; rows of weight 0 become exact zeros.
void cross_entropy_backward_(at::Tensor& logits_TV, const at::Tensor& lse_T,
                             const at::Tensor& targets_T, const at::Tensor& weight_T,
                             const VocabSlice& slice);

/// Both passes in one, where this rank holds the whole vocabulary (slice.begin = 0):
/// returns the fp32 negative log-likelihood of each row, 0 where the target is negative,
/// and leaves the gradient in the logits as cross_entropy_backward_ does.
at::Tensor cross_entropy_(at::Tensor& logits_TV, const at::Tensor& targets_T,
                          const at::Tensor& weight_T, const VocabSlice& slice);

}  // namespace mtrain::kernels
