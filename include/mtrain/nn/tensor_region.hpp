// Entering and leaving the tensor-parallel part of a layer (Shoeybi et al.,
// "Megatron-LM", 2019, section 3; with sequence parallelism Korthikanti et al., "Reducing
// activation recomputation in large transformer models", 2022, section 4.2).
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/comm/communicator.hpp"

namespace mtrain::nn {

/// Outside the region activations are whole on every rank, or, with sequence parallelism,
/// split over the tokens. Inside every rank has all tokens and its share of the features.
class TensorRegion {
 public:
  TensorRegion(comm::Communicator& group, bool sequence_parallel)
      : group_(group), sequence_parallel_(sequence_parallel && group.size() > 1) {}

  comm::Communicator& group() const { return group_; }
  bool sequence_parallel() const { return sequence_parallel_; }
  /// Tokens a rank holds outside the region, of `tokens` inside.
  int64_t outside_tokens(int64_t tokens) const {
    return sequence_parallel_ ? tokens / group_.size() : tokens;
  }

  /// A transfer under way and the tensor it will fill; take() waits and hands it over.
  class Result {
   public:
    Result(at::Tensor value, comm::Pending pending)
        : value_(std::move(value)), pending_(std::move(pending)) {}
    at::Tensor take() {
      comm::finish(pending_);
      return std::move(value_);
    }

   private:
    at::Tensor value_;
    comm::Pending pending_;
  };

  /// All tokens of x: an all-gather with sequence parallelism, else x itself.
  Result start_enter(const at::Tensor& x) const;
  at::Tensor enter(const at::Tensor& x) const { return start_enter(x).take(); }

  /// Sum of the ranks' partial results: an all-reduce in place, or a reduce-scatter over
  /// tokens.
  Result start_leave(const at::Tensor& partial) const;
  at::Tensor leave(const at::Tensor& partial) const {
    return start_leave(partial).take();
  }

 private:
  comm::Communicator& group_;
  bool sequence_parallel_;
};

}  // namespace mtrain::nn
