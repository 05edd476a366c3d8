// The table that `mtrain --check` prints; pure arithmetic on deck and model config.
#include "plan.hpp"

#include <cstdio>

#include "layout.hpp"
#include "memory_plan.hpp"
#include "mtrain/base/error.hpp"
#include "pair_loss.hpp"

namespace mtrain::train {
namespace {

/// Elements of the tensors one rank of a stage holds.
struct StageHolding {
  std::vector<std::string> layer_ranges;
  double parameters = 0;
  double optimizer = 0;  ///< elements whose state it holds
};

/// The layer a tensor belongs to, or -1 for the ends of the model.
int layer_of(const std::string& tensor) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (tensor.rfind(kPrefix, 0) != 0) return -1;
  return std::stoi(tensor.substr(kPrefix.size()));
}

/// Adds one rank's part of the tensor.
void add_tensor(const models::LogicalTensor& tensor, const comm::RankGrid& grid,
                bool sharded, StageHolding& holding) {
  const comm::GridSizes& sizes = grid.sizes();
  const int per_stage = sizes.world / sizes.pipeline;
  const bool expert = tensor.name.find(".mlp.experts.") != std::string::npos;
  const bool whole = tensor.shape.size() < 2 || tensor.name.ends_with(".mlp.gate.weight");
  const int parts = expert  ? sizes.expert * sizes.expert_tensor
                    : whole ? 1
                            : sizes.tensor;
  const int shards = expert ? per_stage / parts : grid.data_size() * sizes.context;
  const double elements = static_cast<double>(parallel::numel(tensor.shape)) / parts;
  holding.parameters += elements;
  holding.optimizer += sharded ? elements / shards : elements;
}

std::vector<StageHolding> holdings(const config::Deck& deck,
                                   const models::ModelConfig& config,
                                   const comm::RankGrid& grid) {
  const auto split = layer_split(deck.parallel, config.layers());
  const auto stages = static_cast<size_t>(deck.parallel.pipeline_model_parallel_size);
  std::vector<StageHolding> result(stages);
  std::vector<size_t> stage_of_layer;
  for (size_t v = 0; v < split.size(); ++v) {
    result[v % stages].layer_ranges.push_back(
        split[v].size() == 0 ? "none" : cat(split[v].begin, "-", split[v].end - 1));
    stage_of_layer.insert(stage_of_layer.end(), static_cast<size_t>(split[v].size()),
                          v % stages);
  }
  bool has_head = false;
  const models::LogicalTensor* embedding = nullptr;
  const auto tensors = config.tensors();
  for (const auto& tensor : tensors) {
    const int layer = layer_of(tensor.name);
    const bool first = tensor.name == "model.embed_tokens.weight";
    if (first) embedding = &tensor;
    has_head = has_head || tensor.name == "lm_head.weight";
    const size_t stage = layer >= 0 ? stage_of_layer.at(static_cast<size_t>(layer))
                         : first    ? 0
                                    : stages - 1;
    add_tensor(tensor, grid, deck.parallel.use_distributed_optimizer, result[stage]);
  }
  const bool tied_copy = !has_head && stages > 1 && embedding;
  if (tied_copy) {
    add_tensor(*embedding, grid, deck.parallel.use_distributed_optimizer, result.back());
  }
  return result;
}

std::string row(const std::string& stage, const std::string& layers,
                const std::string& parameters, const std::string& weights,
                const std::string& grads, const std::string& optimizer,
                const std::string& activations, const std::string& kept) {
  char text[256];
  std::snprintf(text, sizeof text, "  %-5s  %-20s %10s  %10s %10s %10s %11s  %s\n",
                stage.c_str(), layers.c_str(), parameters.c_str(), weights.c_str(),
                grads.c_str(), optimizer.c_str(), activations.c_str(), kept.c_str());
  return text;
}

}  // namespace

std::string plan_text(const config::Deck& deck, const models::ModelConfig& config,
                      int world_size) {
  const comm::RankGrid grid(grid_sizes(deck.parallel, world_size));
  const bool fp32 = weights_dtype(deck.model, config) == at::kFloat;
  // fp32 weights are their own master copy; bf16 ones have a separate one. Two fp32
  // moments.
  const double optimizer_bytes = fp32 ? 8.0 : 12.0;
  const auto accumulation = static_cast<int>(deck.train.gradient_accumulation_steps);
  const auto shape = schedule_shape(deck, accumulation);
  const bool pairs = deck.train.stage == config::Stage::kDpo;
  // A reference model is weights only.
  const bool resident =
      needs_reference(deck.dpo.pref_loss) && deck.dpo.ref_log_probs.empty();
  const int models = pairs && resident ? 2 : 1;
  std::string text =
      cat("plan    ", config.family(), ", ",
          human_count(static_cast<double>(config.parameters())), " parameters, ",
          fp32 ? "float32" : "bfloat16", "; ", world_size,
          " ranks: ", layout_name(deck.parallel, world_size), "; global batch ",
          deck.train.per_device_train_batch_size * accumulation * grid.data_size(),
          pairs ? " pairs\n" : " samples\n");
  text += row("stage", "layers", "parameters", "weights", "gradients", "optimizer",
              "activations", "micro-batches kept");
  // Samples of cutoff_len tokens; on a GPU unless the deck says otherwise.
  const int64_t tokens =
      deck.train.per_device_train_batch_size * deck.data.cutoff_len * (pairs ? 2 : 1);
  const at::Device device =
      deck.parallel.device == config::Device::kCpu ? at::kCPU : at::kCUDA;
  const auto stages = holdings(deck, config, grid);
  for (size_t s = 0; s < stages.size(); ++s) {
    const double n = stages[s].parameters;
    const auto ops = parallel::training_schedule(shape, static_cast<int>(s));
    text += row(cat(s), join(stages[s].layer_ranges, ","), human_count(n),
                human_bytes(n * (fp32 ? 4 : 2) * models), human_bytes(n * 4),
                human_bytes(stages[s].optimizer * optimizer_bytes),
                human_bytes(total_bytes(
                    activation_plan(deck, config, static_cast<int>(s), tokens, device))),
                cat(parallel::peak_in_flight(ops)));
  }
  const double busy = static_cast<double>(accumulation) * shape.chunks;
  char bubble[128];
  std::snprintf(bubble, sizeof bubble,
                "  pipeline bubble %.1f %% of the step (per rank, %s)\n",
                100.0 * (shape.stages - 1) / (busy + shape.stages - 1),
                shape.chunks > 1 ? "interleaved 1F1B" : "1F1B");
  return text + bubble;
}

}  // namespace mtrain::train
