// One micro-batch of packed documents, as every layer sees it.
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/kernels/attention.hpp"
#include "mtrain/kernels/rope.hpp"

namespace mtrain::nn {

/// T tokens of one or more documents, one after the other. With sequence parallelism T is
/// padded to a multiple of the tensor-parallel size by a last document of weight 0.
struct MicroBatch {
  at::Tensor ids_T;      ///< int64 token ids
  at::Tensor targets_T;  ///< int64 next token, -100 where nothing is trained
  at::Tensor
      weights_T;  ///< fp32 weight of the position's loss, 0 where nothing is trained
  kernels::Documents documents;
  kernels::RopeTable rope;
  /// Tokens that experts are asked about, from the first on: padding is not, and none is
  /// where nothing is trained.
  int64_t routed_tokens = 0;
  double share = 1;  ///< 1 / number of micro-batches of the global batch

  int64_t tokens() const { return ids_T.size(0); }
};

}  // namespace mtrain::nn
