// The two ends of a language model: vocabulary-parallel embedding and loss head.
#pragma once

#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/nn/micro_batch.hpp"
#include "mtrain/nn/tensor_region.hpp"
#include "mtrain/parallel/param.hpp"

namespace mtrain::nn {

/// Token embedding; each tensor-parallel rank holds a slice of the vocabulary.
class Embedding {
 public:
  Embedding(parallel::Parameter& table, const TensorRegion& region, int64_t vocab_begin)
      : table_(table), region_(region), begin_(vocab_begin) {}

  at::Tensor forward(const MicroBatch& batch) const;
  void backward(const at::Tensor& grad, const MicroBatch& batch) const;

 private:
  parallel::Parameter& table_;
  const TensorRegion& region_;
  int64_t begin_;
};

/// Language-model head fused with the cross-entropy: logits exist for a few tokens at a
/// time, and their gradient replaces them in place. The loss weights are known before the
/// forward, so one pass gives the loss and all gradients.
class LossHead {
 public:
  LossHead(parallel::Parameter& weight, const TensorRegion& region,
           const kernels::VocabSlice& slice)
      : weight_(weight), region_(region), slice_(slice) {}

  struct Result {
    at::Tensor token_loss_T;  ///< fp32 negative log-likelihood, 0 at ignored positions
    at::Tensor dx_TH;  ///< gradient of sum(weight * loss), undefined when not training
  };
  /// x_TH: final hidden states (split over tokens with sequence parallelism). When
  /// `training`, adds the head's weight gradient.
  Result forward(const at::Tensor& x_TH, const MicroBatch& batch, bool training) const;

 private:
  int64_t chunk_tokens() const;
  /// Token losses of a chunk; its logits become the gradient of the weighted loss.
  at::Tensor loss_and_gradient(at::Tensor& logits, const at::Tensor& targets,
                               const at::Tensor& weights) const;
  /// Combines the ranks' row statistics; returns the log-sum-exp and the target's logit.
  std::pair<at::Tensor, at::Tensor> combine(kernels::RowStatistics statistics) const;

  parallel::Parameter& weight_;
  const TensorRegion& region_;
  kernels::VocabSlice slice_;
};

}  // namespace mtrain::nn
