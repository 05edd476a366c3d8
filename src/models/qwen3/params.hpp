// What a rank holds of each tensor of Qwen3: the one place that maps layout to HF
// names.
#pragma once

#include "config.hpp"
#include "mtrain/kernels/cross_entropy.hpp"
#include "mtrain/parallel/param_buffer.hpp"

namespace mtrain::models::qwen3 {

/// Position of this rank in its tensor-parallel group.
struct TensorShard {
  int rank, size;
  bool sequence_parallel;
};

/// Position among the ranks that share the experts of a layer, and each expert.
struct ExpertShard {
  int rank, size;
  int tensor_rank, tensor_size;
};

struct BlockParams {
  parallel::Parameter& attention_norm;
  parallel::Parameter& qkv;
  parallel::Parameter& q_norm;
  parallel::Parameter& k_norm;
  parallel::Parameter& out;
  parallel::Parameter& mlp_norm;
  parallel::Parameter* router;  ///< null in a layer without experts
  parallel::Parameter& gate_up;
  parallel::Parameter& down;

  std::vector<parallel::Parameter*> all() const;
};

BlockParams add_block(parallel::ParamBuffer& buffer, const Sizes& sizes,
                      const TensorShard& shard, const ExpertShard& experts, int layer,
                      int chunk);
parallel::Parameter& add_final_norm(parallel::ParamBuffer& buffer, const Sizes& sizes,
                                    const TensorShard& shard, int chunk);
/// The embedding table or the head; `tied`: a second copy lives at the other pipeline
/// end.
parallel::Parameter& add_vocab(parallel::ParamBuffer& buffer, const Sizes& sizes,
                               const TensorShard& shard, const std::string& tensor,
                               bool tied, int chunk);

/// The vocabulary entries a rank holds. Every rank has the same number of rows, a
/// multiple of 64 when there are several ranks; rows past the vocabulary are padding,
/// never saved.
kernels::VocabSlice vocab_slice(const Sizes& sizes, const TensorShard& shard);
int64_t vocab_rows(const Sizes& sizes, const TensorShard& shard);

}  // namespace mtrain::models::qwen3
