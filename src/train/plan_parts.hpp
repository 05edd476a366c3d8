// The parts of the plan: what each stage holds, how long a step takes, what would help.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gpu_rates.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"
#include "mtrain/train/run.hpp"

namespace mtrain::train {

/// A model to plan for, with what is asked of it again and again: a large one has tens of
/// thousands of tensors.
struct PlannedModel {
  explicit PlannedModel(const models::ModelConfig& model);

  /// Elements that lie at one place and are split alike.
  struct Share {
    enum class Split { kWhole, kTensor, kExperts };
    int layer;  ///< or one of the ends
    Split split;
    double elements = 0;
  };
  static constexpr int kFirst = -1, kLast = -2;  ///< ends of the model

  /// Flops of a token in a whole step, in a sample of that length.
  double flops(double length) const { return linear_flops + length * attention_flops; }

  const models::ModelConfig& config;
  std::vector<Share> shares;
  double embedding = 0;  ///< elements of the table
  bool tied = true;      ///< the head is the table
  double dense = 0;      ///< elements of matrices that are neither experts nor vocabulary
  double linear_flops, attention_flops;
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

/// A change of some keys that cannot change what is trained.
using Change = std::function<void(config::Deck&)>;
std::vector<Change> possible_changes(const config::Deck& deck, const PlannedModel& model,
                                     int world_size);
/// Whether the layout fits ranks and model.
bool is_valid(const config::Deck& deck, const PlannedModel& model, int world_size);
/// The keys of layout, recompute and batch in which `after` differs, as {key, value}.
std::vector<std::pair<std::string, std::string>> changed_keys(const config::Deck& before,
                                                              const config::Deck& after);
/// "key = value, key = value".
std::string in_words(const std::vector<std::pair<std::string, std::string>>& keys);
/// As words of the command line: "key=value key=value".
std::string as_arguments(const std::vector<std::pair<std::string, std::string>>& keys);

/// The user's own line with these keys in place of those it has: a key may stand there
/// once.
std::string command_with(const PlanRequest& request,
                         const std::vector<std::pair<std::string, std::string>>& keys);

/// Recomputes whole layers, each by itself.
void recompute_all(config::Deck& deck);

/// The changes that save most memory on the fullest rank, best first, with what they save
/// and cost: up to three lines.
std::string advice(const config::Deck& deck, const PlannedModel& model, int world_size,
                   const GpuRates& gpu);

/// Changes that together make it fit, and the line that lists all layouts that do; where
/// there are none the number of GPUs from which there are. Several lines.
std::string combined_advice(const config::Deck& deck, const PlannedModel& model,
                            const PlanRequest& request, const GpuRates& gpu);

/// A deck that fits, with what it needs.
struct Candidate {
  config::Deck deck;
  double bytes;
  StepEstimate estimate;
};
/// The layouts for `gpus` GPUs that fit, fastest first, with the deck's micro-batches and
/// `samples` a step.
std::vector<Candidate> fitting_layouts(const config::Deck& deck,
                                       const PlannedModel& model, int gpus,
                                       int64_t samples, const GpuRates& gpu);
/// Whether there is one.
bool some_layout_fits(const config::Deck& deck, const PlannedModel& model, int gpus,
                      int64_t samples, const GpuRates& gpu);
/// Samples a step of the deck's layout on so many GPUs.
int64_t samples_a_step(const config::Deck& deck, int gpus);

/// The fastest layouts for request.ranks GPUs, as a table.
std::string search_table(const config::Deck& deck, const PlannedModel& model,
                         const PlanRequest& request, const GpuRates& gpu);

}  // namespace mtrain::train
