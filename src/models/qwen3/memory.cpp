// Bytes that a Qwen3 stage keeps of a micro-batch, by kind: what the layers of nn
// save, as arithmetic. Used by --check, and compared with the measured peak on GPUs.
#include <algorithm>

#include "config.hpp"
#include "mtrain/nn/vocab.hpp"

namespace mtrain::models::qwen3 {
namespace {

/// Bytes per layer of one micro-batch. Of a model with experts: of a layer that has them,
/// and as if their tokens were spread evenly.
class LayerBytes {
 public:
  LayerBytes(const Sizes& sizes, const ActivationShape& shape)
      : hidden_(static_cast<double>(sizes.hidden)),
        query_(static_cast<double>(sizes.heads * sizes.head_dim) / shape.tensor),
        key_(static_cast<double>(std::max<int64_t>(sizes.kv_heads / shape.tensor, 1) *
                                 sizes.head_dim)),
        heads_(static_cast<double>(sizes.heads) / shape.tensor),
        sparse_(sizes.experts.count > 0),
        ffn_(sparse_ ? static_cast<double>(sizes.experts.ffn * sizes.experts.choices) /
                           shape.expert_tensor
                     : static_cast<double>(sizes.ffn) / shape.tensor),
        rows_(sparse_ ? static_cast<double>(sizes.experts.choices) : 0.0),
        router_(sparse_ ? static_cast<double>(sizes.experts.count) : 0.0),
        element_(static_cast<double>(c10::elementSize(shape.dtype))),
        bytes_(element_ * static_cast<double>(shape.tokens)),
        outside_(shape.sequence_parallel ? 1.0 / shape.tensor : 1.0),
        whole_experts_(shape.expert_tensor == 1),
        local_experts_(shape.expert == 1),
        selective_(shape.recompute.selective) {}

  /// The residual stream at one point, which is split by sequence parallelism.
  double stream() const { return hidden_ * bytes_ * outside_; }

  std::vector<MemoryItem> kept() const {
    const double fp32 = sizeof(float) / element_;
    std::vector<MemoryItem> items = {{"residual stream", 2 * stream()}};
    if (!selective_.norms) items.push_back({"norm outputs", 2 * stream()});
    items.push_back({"queries, keys, values", (query_ + 2 * key_) * bytes_});
    if (!selective_.core) {
      items.push_back({"rotated queries, keys", (query_ + key_) * bytes_});
      items.push_back({"attention output", (query_ + heads_ * fp32) * bytes_});
    }
    if (sparse_) {
      items.push_back({"router", router_ * fp32 * bytes_ * inside()});
      if (!selective_.moe) {
        // Where all experts are here, they are brought again at no cost.
        if (!local_experts_)
          items.push_back({"inputs of experts", rows_ * hidden_ * bytes_ * inside()});
        items.push_back({"gate and up", 2 * ffn_ * bytes_ * inside()});
      }
      return items;
    }
    if (!selective_.mlp) items.push_back({"gate and up", 2 * ffn_ * bytes_});
    if (!selective_.mlp && !selective_.activation)
      items.push_back({"SwiGLU output", ffn_ * bytes_});
    return items;
  }

  /// Short-lived tensors at the widest point of the backward, inside the MLP: gradients
  /// of the SwiGLU's output and input and of the stream, and what is made again.
  double backward_workspace() const {
    const double again = selective_.activation || selective_.mlp ? 1 : 0;
    const double fused = selective_.mlp ? 2 : 0;
    if (sparse_) {
      const double made = (selective_.moe || local_experts_ ? rows_ * hidden_ : 0) +
                          (selective_.moe ? 2 * ffn_ : 0);
      return (4 * ffn_ + 3 * rows_ * hidden_ + made) * bytes_ * inside() + 3 * stream();
    }
    return (3 + again + fused) * ffn_ * bytes_ + (selective_.norms ? 3 : 2) * stream();
  }

 private:
  /// Share of the tokens that a rank routes: with whole experts only its own.
  double inside() const { return whole_experts_ ? outside_ : 1.0; }

  double hidden_, query_, key_, heads_;
  bool sparse_;
  double ffn_, rows_, router_, element_, bytes_, outside_;
  bool whole_experts_, local_experts_;
  nn::SelectiveRecompute selective_;
};

}  // namespace

ActivationMemory Config::activation_memory(const ActivationShape& shape) const {
  const LayerBytes layer(sizes_, shape);
  const int layers = shape.layers;
  const Recompute& recompute = shape.recompute;
  // Groups kept as their input only, and layers kept whole.
  int groups = 0, whole = layers, again = 0;
  if (recompute.full == Recompute::Full::kUniform) {
    groups = (layers + recompute.layers - 1) / recompute.layers;
    whole = 0;
    again = std::min(recompute.layers, layers);
  } else if (recompute.full == Recompute::Full::kBlock) {
    groups = std::min(recompute.layers, layers);
    whole = layers - groups;
    again = groups > 0 ? 1 : 0;
  }
  ActivationMemory memory;
  for (auto item : layer.kept()) {
    item.bytes *= whole;
    if (item.bytes > 0) memory.kept.push_back(item);
  }
  if (groups > 0) memory.kept.push_back({"inputs of groups", groups * layer.stream()});
  memory.workspace = layer.backward_workspace() + again * total_bytes(layer.kept());
  if (!shape.head) return memory;
  memory.kept.push_back({"loss head", 2 * layer.stream()});
  const int64_t rows = (sizes_.vocab + shape.tensor - 1) / shape.tensor;
  const auto chunk = static_cast<double>(
      std::min(nn::LossHead::chunk_tokens(rows, shape.device), shape.tokens));
  const auto element = static_cast<double>(c10::elementSize(shape.dtype));
  const double logits = chunk * static_cast<double>(rows) * element;
  memory.workspace = std::max(memory.workspace, logits + layer.stream());
  return memory;
}

}  // namespace mtrain::models::qwen3
