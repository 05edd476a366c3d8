// One pre-norm transformer block.
#pragma once

#include "mtrain/nn/attention.hpp"
#include "mtrain/nn/feed_forward.hpp"
#include "mtrain/nn/norm.hpp"

namespace mtrain::nn {

/// Which saved tensors selective recompute makes again in the backward instead of keeping
/// (recompute_modules; Megatron-LM's names in the deck).
struct SelectiveRecompute {
  bool norms = false;       ///< "layernorm": outputs of the two norms
  bool core = false;        ///< "core_attn": rotated queries and keys, attention output
  bool activation = false;  ///< "mlp_act": output of SwiGLU
  bool mlp = false;         ///< "mlp": both tensors inside a dense feed-forward layer
  bool moe = false;         ///< "moe": what is inside experts, all but the routing
};

class Block {
 public:
  Block(Norm attention_norm, Attention attention, Norm mlp_norm, FeedForward feed_forward,
        const SelectiveRecompute& recompute)
      : attention_norm_(attention_norm),
        attention_(std::move(attention)),
        mlp_norm_(mlp_norm),
        feed_forward_(std::move(feed_forward)),
        recompute_(recompute) {}

  struct Saved {
    Norm::Saved attention_norm, mlp_norm;
    Attention::Saved attention;
    FeedForward::Saved feed_forward;
  };

  Stream forward(const Stream& stream, const MicroBatch& batch, Saved& saved) const;
  /// Gradient of the incoming stream from that of the outgoing one. Empties `saved`.
  at::Tensor backward(const at::Tensor& grad, const MicroBatch& batch,
                      Saved& saved) const;

 private:
  void drop_recomputed(Saved& saved) const;

  Norm attention_norm_;
  Attention attention_;
  Norm mlp_norm_;
  FeedForward feed_forward_;
  SelectiveRecompute recompute_;
};

}  // namespace mtrain::nn
