// The parts of the plan: what each stage holds, how long a step takes, what would help.
#pragma once

#include <string>
#include <vector>

#include "gpu_rates.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// A model to plan for, with what is asked of it again and again.
struct PlannedModel {
  explicit PlannedModel(const models::ModelConfig& model)
      : config(model), tensors(model.tensors()) {}
  const models::ModelConfig& config;
  std::vector<models::LogicalTensor> tensors;
};

/// Bytes of the ranks of one pipeline stage, by owner; `parameters` are elements.
struct StageMemory {
  std::vector<std::string> layer_ranges;
  double parameters = 0, optimizer_elements = 0;
  double stored_elements = 0;  ///< what the rank writes of a checkpoint
  double weights = 0, gradients = 0, optimizer = 0, activations = 0;
  double copy = 0;    ///< for checkpoints, where it lies in the same memory
  int in_flight = 0;  ///< (chunk, micro-batch) pairs kept at the same time
  double total() const { return weights + gradients + optimizer + activations + copy; }
};
std::vector<StageMemory> stage_memory(const config::Deck& deck, const PlannedModel& model,
                                      int world_size);
/// A line per stage. The copy for checkpoints is shown where it lies in the same memory.
std::string stage_table(const config::Deck& deck, const std::vector<StageMemory>& stages);
/// Of the stage that holds most.
double largest_total(const std::vector<StageMemory>& stages);

/// Tokens of a micro-batch of samples of cutoff_len.
int64_t planned_tokens(const config::Deck& deck);

/// What a GPU has for tensors: its memory without what CUDA, NCCL and libraries take.
double usable_memory(const GpuRates& gpu);

struct StepEstimate {
  double seconds;
  double idle_share;  ///< of the passes: the pipeline's bubble
  double tokens_per_second;
  double flops_per_gpu;  ///< a second
};
/// By the rates of a GPU, samples of cutoff_len and even routing.
StepEstimate estimate_step(const config::Deck& deck, const PlannedModel& model,
                           int world_size, const GpuRates& gpu);

/// The changes of one key that save most memory on the fullest rank, best first, with
/// what they save and cost: up to three lines.
std::string advice(const config::Deck& deck, const PlannedModel& model, int world_size,
                   const GpuRates& gpu);

/// The fastest layouts for `gpus` GPUs that fit, with the deck's micro-batches and as
/// many samples a step as it asks for.
std::string search_layouts(const config::Deck& deck, const PlannedModel& model, int gpus,
                           const GpuRates& gpu);

}  // namespace mtrain::train
