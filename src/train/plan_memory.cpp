// What each stage holds, as arithmetic on deck and model config; used by the plan.
#include <algorithm>
#include <map>
#include <utility>

#include "layout.hpp"
#include "memory_plan.hpp"
#include "mtrain/base/checked.hpp"
#include "mtrain/base/error.hpp"
#include "pair_loss.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

/// The layer a tensor belongs to, or -1 for the ends of the model.
int layer_of(const std::string& tensor) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (tensor.rfind(kPrefix, 0) != 0) return -1;
  return std::stoi(tensor.substr(kPrefix.size()));
}

PlannedModel::Share::Split split_of(const models::LogicalTensor& tensor) {
  using Split = PlannedModel::Share::Split;
  if (tensor.name.find(".mlp.experts.") != std::string::npos) return Split::kExperts;
  const bool whole = tensor.shape.size() < 2 || tensor.name.ends_with(".mlp.gate.weight");
  return whole ? Split::kWhole : Split::kTensor;
}

/// Adds one rank's part of the elements.
void add_share(const PlannedModel::Share& share, const comm::RankGrid& grid, bool sharded,
               StageMemory& stage) {
  using Split = PlannedModel::Share::Split;
  const comm::GridSizes& sizes = grid.sizes();
  const int per_stage = sizes.world / sizes.pipeline;
  const bool expert = share.split == Split::kExperts;
  const int parts = expert                         ? sizes.expert * sizes.expert_tensor
                    : share.split == Split::kWhole ? 1
                                                   : sizes.tensor;
  const int shards = expert ? per_stage / parts : grid.data_size() * sizes.context;
  const double elements = share.elements / parts;
  stage.parameters += elements;
  stage.stored_elements += elements / shards;
  stage.optimizer_elements += sharded ? elements / shards : elements;
}

/// Who holds what: layers and elements.
std::vector<StageMemory> holdings(const config::Deck& deck, const PlannedModel& model,
                                  const comm::RankGrid& grid) {
  const auto split = layer_split(deck.parallel, model.config.layers());
  const auto stages = static_cast<size_t>(deck.parallel.pipeline_model_parallel_size);
  std::vector<StageMemory> result(stages);
  std::vector<size_t> stage_of_layer;
  for (size_t v = 0; v < split.size(); ++v) {
    result[v % stages].layer_ranges.push_back(
        split[v].size() == 0 ? "none" : cat(split[v].begin, "-", split[v].end - 1));
    stage_of_layer.insert(stage_of_layer.end(), static_cast<size_t>(split[v].size()),
                          v % stages);
  }
  const bool sharded = deck.parallel.use_distributed_optimizer;
  for (const auto& share : model.shares) {
    const size_t stage = share.layer >= 0
                             ? stage_of_layer.at(static_cast<size_t>(share.layer))
                         : share.layer == PlannedModel::kFirst ? 0
                                                               : stages - 1;
    add_share(share, grid, sharded, result[stage]);
  }
  if (model.tied && stages > 1) {
    add_share({PlannedModel::kLast, PlannedModel::Share::Split::kTensor, model.embedding},
              grid, sharded, result.back());
  }
  return result;
}

}  // namespace

PlannedModel::PlannedModel(const models::ModelConfig& model)
    : config(model),
      linear_flops(model.flops_per_token(0)),
      attention_flops(model.flops_per_token(1) - linear_flops) {
  std::map<std::pair<int, Share::Split>, double> sums;
  for (const auto& tensor : model.tensors()) {
    const auto elements = static_cast<double>(parallel::numel(tensor.shape));
    const bool first = tensor.name == "model.embed_tokens.weight";
    const bool head = tensor.name == "lm_head.weight";
    const int layer = layer_of(tensor.name);
    const Share::Split split = split_of(tensor);
    if (first) embedding = elements;
    if (head) tied = false;
    const bool matrix = tensor.shape.size() == 2 && split != Share::Split::kExperts;
    if (matrix && !first && !head) dense += elements;
    sums[{layer >= 0 ? layer : first ? kFirst : kLast, split}] += elements;
  }
  for (const auto& [place, elements] : sums)
    shares.push_back({place.first, place.second, elements});
}

int64_t planned_tokens(const config::Deck& deck) {
  const bool pairs = deck.train.stage == config::Stage::kDpo;
  return checked_product(
      {deck.train.per_device_train_batch_size, deck.data.cutoff_len, pairs ? 2 : 1},
      "number of tokens of a micro-batch (per_device_train_batch_size x cutoff_len)");
}

std::vector<StageMemory> stage_memory(const config::Deck& deck, const PlannedModel& model,
                                      int world_size) {
  const comm::RankGrid grid(grid_sizes(deck.parallel, world_size));
  const bool fp32 = weights_dtype(deck.model, model.config) == at::kFloat;
  // fp32 weights are their own master copy; bf16 ones have a separate one. Two fp32
  // moments.
  const double weight_bytes = fp32 ? 4.0 : 2.0, optimizer_bytes = fp32 ? 8.0 : 12.0;
  const double stored_bytes = deck.checkpoint.save_only_model ? weight_bytes : 12.0;
  // A reference model is weights only.
  const bool reference = deck.train.stage == config::Stage::kDpo &&
                         needs_reference(deck.dpo.pref_loss) &&
                         deck.dpo.ref_log_probs.empty();
  const auto shape =
      schedule_shape(deck, static_cast<int>(deck.train.gradient_accumulation_steps));
  // On a GPU unless the deck says otherwise.
  const at::Device device =
      deck.parallel.device == config::Device::kCpu ? at::kCPU : at::kCUDA;
  auto stages = holdings(deck, model, grid);
  for (size_t s = 0; s < stages.size(); ++s) {
    StageMemory& stage = stages[s];
    stage.weights = stage.parameters * weight_bytes * (reference ? 2 : 1);
    stage.gradients = stage.parameters * 4;
    stage.optimizer = stage.optimizer_elements * optimizer_bytes;
    if (device.is_cpu()) stage.copy = stage.stored_elements * stored_bytes;
    stage.activations = total_bytes(activation_plan(
        deck, model.config, static_cast<int>(s), planned_tokens(deck), device));
    stage.in_flight =
        parallel::peak_in_flight(parallel::training_schedule(shape, static_cast<int>(s)));
  }
  return stages;
}

double largest_total(const std::vector<StageMemory>& stages) {
  double largest = 0;
  for (const auto& stage : stages) largest = std::max(largest, stage.total());
  return largest;
}

double usable_memory(const GpuRates& gpu) {
  constexpr double kTaken = 3.0 * 1024 * 1024 * 1024;
  return gpu.memory - kTaken;
}

}  // namespace mtrain::train
