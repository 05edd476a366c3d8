// The table that `mtrain --check` prints; pure arithmetic on deck and model config.
#include "plan.hpp"

#include "layout.hpp"
#include "mtrain/base/checked.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/figures.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

std::string header(const config::Deck& deck, const models::ModelConfig& config,
                   int world_size) {
  const comm::RankGrid grid(grid_sizes(deck.parallel, world_size));
  const bool fp32 = weights_dtype(deck.model, config) == at::kFloat;
  const int64_t samples =
      checked_product({deck.train.per_device_train_batch_size,
                       deck.train.gradient_accumulation_steps, grid.data_size()},
                      "number of samples of a step");
  return cat("plan    ", config.family(), ", ",
             human_count(static_cast<double>(config.parameters())), " parameters, ",
             fp32 ? "float32" : "bfloat16", "; ", world_size,
             " ranks: ", layout_name(deck.parallel, world_size), "; global batch ",
             samples,
             deck.train.stage == config::Stage::kDpo ? " pairs\n" : " samples\n");
}

/// "pipeline bubble 15.8 % of the passes of a step (1F1B)".
std::string bubble_text(double idle_share, int chunks) {
  return formatted("pipeline bubble %.1f %% of the passes of a step ", 100 * idle_share) +
         (chunks > 1 ? "(interleaved 1F1B)\n" : "(1F1B)\n");
}

std::string estimate_text(const config::Deck& deck, const PlannedModel& model,
                          const PlanRequest& request, const GpuRates& gpu) {
  const StepEstimate e = estimate_step(deck, model, request.ranks, gpu);
  return cat("  on ", gpu.name, " GPUs, estimated: step ", three_digits(e.seconds),
             " s, ", human_count(e.tokens_per_second), " tokens/s (",
             human_count(e.tokens_per_second / request.ranks), " a GPU, ",
             formatted("%.0f TFLOP/s), ", e.flops_per_gpu / 1e12),
             bubble_text(e.idle_share,
                         deck.parallel.virtual_pipeline_model_parallel_size.value_or(1)));
}

void plan_for_gpu(const config::Deck& deck, const PlannedModel& model,
                  const PlanRequest& request, double largest, Plan& plan) {
  const GpuRates gpu = gpu_rates(request.gpu, request.gpu_table);
  const double usable = usable_memory(gpu);
  const std::string need = cat("the fullest rank needs ", human_bytes(largest), " of ",
                               human_bytes(usable), " usable");
  plan.text += cat(estimate_text(deck, model, request, gpu), "  ", need, ": ");
  if (largest <= usable) {
    plan.text += "it fits\n";
    return;
  }
  plan.no_room = cat(need, " on GPUs of kind ", gpu.name);
  plan.text += cat("it does not fit; what would save most:\n",
                   advice(deck, model, request.ranks, gpu),
                   combined_advice(deck, model, request, gpu));
}

}  // namespace

std::string stage_table(const config::Deck& deck,
                        const std::vector<StageMemory>& stages) {
  std::vector<std::vector<std::string>> rows(1 + stages.size());
  const auto column = [&](const std::string& title, const auto& cell) {
    rows[0].push_back(title);
    for (size_t s = 0; s < stages.size(); ++s) rows[s + 1].push_back(cell(stages[s]));
  };
  const auto bytes = [&](const std::string& title, double StageMemory::*amount) {
    column(title, [&](const StageMemory& s) { return human_bytes(s.*amount); });
  };
  column("  stage", [&](const StageMemory& s) { return cat("  ", &s - stages.data()); });
  column("layers", [](const StageMemory& s) { return join(s.layer_ranges, ","); });
  column("parameters", [](const StageMemory& s) { return human_count(s.parameters); });
  bytes("weights", &StageMemory::weights);
  bytes("gradients", &StageMemory::gradients);
  bytes("optimizer", &StageMemory::optimizer);
  bytes("activations", &StageMemory::activations);
  if (deck.parallel.device == config::Device::kCpu)
    bytes("copy to save", &StageMemory::copy);
  column("sum", [](const StageMemory& s) { return human_bytes(s.total()); });
  column("micro-batches kept", [](const StageMemory& s) { return cat(s.in_flight); });
  return aligned(rows);
}

Plan make_plan(const config::Deck& deck, const models::ModelConfig& config,
               const PlanRequest& request) {
  const PlannedModel model(config);
  const auto stages = stage_memory(deck, model, request.ranks);
  Plan plan{header(deck, config, request.ranks) + stage_table(deck, stages), ""};
  if (deck.parallel.device != config::Device::kCpu) {
    plan_for_gpu(deck, model, request, largest_total(stages), plan);
    return plan;
  }
  const auto estimate = estimate_step(deck, model, request.ranks, flops_alone());
  const int chunks = deck.parallel.virtual_pipeline_model_parallel_size.value_or(1);
  plan.text += "  " + bubble_text(estimate.idle_share, chunks);
  return plan;
}

std::string plan_search_text(const config::Deck& deck, const models::ModelConfig& config,
                             const PlanRequest& request) {
  return search_table(deck, PlannedModel(config), request,
                      gpu_rates(request.gpu, request.gpu_table));
}

}  // namespace mtrain::train
