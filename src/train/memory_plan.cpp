// Adds up activations over chunks and micro-batches in flight; used by the plan and by
// the trainer's memory table.
#include "memory_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "layout.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::train {

std::vector<models::MemoryItem> activation_plan(const config::Deck& deck,
                                                const models::ModelConfig& config,
                                                int stage, int64_t tokens,
                                                at::Device device) {
  const auto options = model_options(deck, config, device);
  const auto shape =
      schedule_shape(deck, static_cast<int>(deck.train.gradient_accumulation_steps));
  // In flight are passes of one chunk each; all chunks of a stage are about as large.
  const int in_flight =
      parallel::peak_in_flight(parallel::training_schedule(shape, stage));
  const int tensor = deck.parallel.tensor_model_parallel_size;
  std::map<std::string, double> kept;
  double workspace = 0, stream = 0, layer = 0;
  for (int chunk = 0; chunk < shape.chunks; ++chunk) {
    const auto range = static_cast<size_t>(chunk * shape.stages + stage);
    const bool head = chunk + 1 == shape.chunks && stage + 1 == shape.stages;
    const auto memory = config.activation_memory(
        {tokens, tensor, deck.parallel.expert_model_parallel_size,
         deck.parallel.expert_tensor_parallel_size,
         options.sequence_parallel && tensor > 1, options.dtype, device,
         options.recompute, options.layers[range], head});
    for (const auto& item : memory.kept)
      kept[item.owner] += item.bytes * in_flight / shape.chunks;
    workspace = std::max(workspace, memory.workspace);
    stream = memory.stream;
    const int layers = std::max(options.layers[range].size(), 1);
    layer = std::max(layer, total_bytes(memory.kept) / layers);
  }
  // A forward pass in turns with a backward pass needs no more than that; it is a layer
  // ahead.
  if (shape.pairs) workspace = 2 * workspace + layer;
  std::vector<models::MemoryItem> items;
  for (const auto& [owner, bytes] : kept) items.push_back({"kept: " + owner, bytes});
  items.push_back({"workspace", workspace});
  // What arrives for the next pass, and what the last one sent.
  if (shape.stages > 1) items.push_back({"between stages", 2 * stream});
  return items;
}

std::string memory_table(std::vector<models::MemoryItem> items) {
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  items.push_back({"sum", total_bytes(items)});
  std::string text;
  for (const auto& item : items) {
    char line[96];
    std::snprintf(line, sizeof line, "  %-28s %11s\n", item.owner.c_str(),
                  human_bytes(item.bytes).c_str());
    text += line;
  }
  return text;
}

}  // namespace mtrain::train
