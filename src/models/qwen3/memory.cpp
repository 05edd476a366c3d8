// Bytes that a Qwen3 stage keeps of a micro-batch, by kind: what the layers of nn
// save, as arithmetic. Used by --check, and compared with the measured peak on GPUs.
#include <algorithm>

#include "config.hpp"
#include "mtrain/nn/vocab.hpp"
#include "recompute.hpp"

namespace mtrain::models::qwen3 {
namespace {

/// Bytes per layer of one micro-batch, of a layer with experts as if tokens were spread
/// evenly over them.
class LayerBytes {
 public:
  LayerBytes(const Sizes& sizes, const ActivationShape& shape, bool sparse)
      : hidden_(static_cast<double>(sizes.hidden)),
        query_(static_cast<double>(sizes.heads * sizes.head_dim) / shape.tensor),
        key_(static_cast<double>(std::max<int64_t>(sizes.kv_heads / shape.tensor, 1) *
                                 sizes.head_dim)),
        heads_(static_cast<double>(sizes.heads) / shape.tensor),
        sparse_(sparse),
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
  /// The same gathered, as products take it.
  double whole_stream() const { return hidden_ * bytes_; }

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
    if (sparse_) return experts_workspace() * inside() + 3 * whole_stream();
    const double again = selective_.activation || selective_.mlp ? 1 : 0;
    const double fused = selective_.mlp ? 2 : 0;
    return (3 + again + fused) * ffn_ * bytes_ +
           (selective_.norms ? 3 : 2) * whole_stream();
  }

 private:
  /// The same of the experts. Beside the gradient of their output lie, one after the
  /// other, what goes in and out of the SwiGLU's backward, and the gradients of its
  /// input (in gate and up's place) and of the experts' input, by row and by token.
  double experts_workspace() const {
    const double rows = rows_ * hidden_;
    const double made =
        (selective_.moe || local_experts_ ? rows : 0) + (selective_.moe ? 2 * ffn_ : 0);
    return (made + rows + std::max(4 * ffn_, rows + ffn_ + hidden_)) * bytes_;
  }

  /// Share of the tokens that a rank routes: with whole experts only its own.
  double inside() const { return whole_experts_ ? outside_ : 1.0; }

  double hidden_, query_, key_, heads_;
  bool sparse_;
  double ffn_, rows_, router_, element_, bytes_, outside_;
  bool whole_experts_, local_experts_;
  nn::SelectiveRecompute selective_;
};

/// What is asked of a kind of layer for each one of it.
struct LayerKind {
  explicit LayerKind(const LayerBytes& layer)
      : kept(layer.kept()),
        saved(total_bytes(kept)),
        workspace(layer.backward_workspace()) {}
  std::vector<MemoryItem> kept;
  double saved, workspace;
};

/// Adds up by owner.
void add(const std::vector<MemoryItem>& items, std::vector<MemoryItem>& sums) {
  for (const auto& item : items) {
    const auto found = std::find_if(sums.begin(), sums.end(), [&](const auto& sum) {
      return sum.owner == item.owner;
    });
    if (found == sums.end()) {
      sums.push_back(item);
    } else {
      found->bytes += item.bytes;
    }
  }
}

/// The loss head: a chunk of logits, the norm's input and output, and their gradient.
double head_workspace(const Sizes& sizes, const ActivationShape& shape,
                      const LayerBytes& layer) {
  const int64_t rows = (sizes.vocab + shape.tensor - 1) / shape.tensor;
  const int64_t chunk =
      std::min(nn::LossHead::chunk_tokens(rows, shape.device), shape.tokens);
  const auto element = static_cast<double>(c10::elementSize(shape.dtype));
  const double logits = static_cast<double>(chunk) * static_cast<double>(rows) * element;
  return logits + 2 * layer.stream() + layer.whole_stream();
}

}  // namespace

ActivationMemory Config::activation_memory(const ActivationShape& shape) const {
  const LayerBytes bytes(sizes_, shape, false);
  const LayerKind dense(bytes), sparse(LayerBytes(sizes_, shape, true));
  const double stream = bytes.stream();
  ActivationMemory memory{{}, 0, stream};
  // Backward passes go from the last group to the first: what groups behind kept is gone.
  double kept = 0, peak = 0;
  for (const auto& group : recompute_groups(shape.layers.size(), shape.recompute)) {
    double saved = 0, workspace = 0;
    for (int i = group.begin; i < group.end; ++i) {
      const bool has_experts = sizes_.has_experts(shape.layers.begin + i);
      const LayerKind& layer = has_experts ? sparse : dense;
      saved += layer.saved;
      workspace = std::max(workspace, layer.workspace);
      if (!group.recompute) add(layer.kept, memory.kept);
    }
    if (group.recompute) add({{"inputs of groups", stream}}, memory.kept);
    kept += group.recompute ? stream : saved;
    const double again = group.recompute ? saved - stream : 0;
    peak = std::max(peak, kept + again + workspace);
  }
  memory.workspace = peak - kept;
  if (shape.head) {
    memory.workspace = std::max(memory.workspace, head_workspace(sizes_, shape, bytes));
  }
  return memory;
}

}  // namespace mtrain::models::qwen3
