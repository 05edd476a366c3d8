// The two ends of a language model: vocabulary-parallel embedding and loss head.
#pragma once

#include <functional>

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
/// time, and their gradient replaces them in place. Where the loss weights are known
/// before the forward, one pass gives the loss and all gradients; else the logits are
/// computed twice.
class LossHead {
 public:
  LossHead(parallel::Parameter& weight, const TensorRegion& region,
           const kernels::VocabSlice& slice)
      : weight_(weight), region_(region), slice_(slice) {}

  /// Tokens whose logits over `rows` vocabulary entries are in memory at a time.
  static int64_t chunk_tokens(int64_t rows, at::Device device);

  struct Result {
    at::Tensor token_loss_T;  ///< fp32 negative log-likelihood, 0 at ignored positions
    at::Tensor dx_TH;  ///< gradient of sum(weight * loss), undefined when not training
  };
  /// Weights that follow from all token losses of the micro-batch: fp32 [T], on the
  /// device, 0 at ignored positions. Equal on all tensor-parallel ranks.
  using WeightsOf = std::function<at::Tensor(const at::Tensor& token_loss_T)>;
  /// x_TH: final hidden states (split over tokens with sequence parallelism). When
  /// `training`, adds the head's weight gradient. The weights are the batch's, or those
  /// of `weights_of` where it is given.
  Result forward(const at::Tensor& x_TH, const MicroBatch& batch, bool training,
                 const WeightsOf& weights_of) const;

 private:
  /// Runs all tokens through the head. Adds gradients where `result.dx_TH` is defined.
  void sweep(const at::Tensor& x_TH, const at::Tensor& targets_T,
             const at::Tensor& weights_T, Result& result) const;
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
