// Transformer block: norm, attention, norm, feed-forward layer around the residual
// stream.
#include "mtrain/nn/block.hpp"

#include <ATen/ATen.h>

namespace mtrain::nn {

Stream Block::forward(const Stream& stream, const MicroBatch& batch, Saved& saved) const {
  const at::Tensor x = attention_norm_.forward(stream, saved.attention_norm);
  const at::Tensor attended = attention_.forward(x, batch, saved.attention);
  const at::Tensor y =
      mlp_norm_.forward({saved.attention_norm.x, attended}, saved.mlp_norm);
  const at::Tensor delta = feed_forward_.forward(y, batch, saved.feed_forward);
  drop_recomputed(saved);
  return {saved.mlp_norm.x, delta};
}

void Block::drop_recomputed(Saved& saved) const {
  if (recompute_.norms) {
    saved.attention_norm.y.reset();
    saved.mlp_norm.y.reset();
  }
  if (recompute_.core) Attention::drop_core(saved.attention);
  Mlp::Saved& mlp = saved.feed_forward.mlp;
  if (recompute_.activation || recompute_.mlp) mlp.activated.reset();
  if (recompute_.mlp) mlp.gate_up.reset();
  if (recompute_.moe) Moe::drop_inner(saved.feed_forward.moe);
}

at::Tensor Block::backward(const at::Tensor& grad, const MicroBatch& batch,
                           Saved& saved) const {
  const at::Tensor d_mlp = feed_forward_.backward(grad, mlp_norm_.output(saved.mlp_norm),
                                                  batch, saved.feed_forward);
  const at::Tensor d_middle = mlp_norm_.backward(d_mlp, grad, saved.mlp_norm);
  saved.mlp_norm = {};
  const at::Tensor d_attention = attention_.backward(
      d_middle, attention_norm_.output(saved.attention_norm), batch, saved.attention);
  const at::Tensor d_stream =
      attention_norm_.backward(d_attention, d_middle, saved.attention_norm);
  saved.attention_norm = {};
  return d_stream;
}

}  // namespace mtrain::nn
