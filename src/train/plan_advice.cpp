// Tries other decks: what would make a run fit, and which layouts are fastest. Used by
// the plan.
#include <algorithm>
#include <cstdio>
#include <functional>

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/config/parse.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

using config::Deck;
using config::RecomputeGranularity;

struct Change {
  std::string words;
  Deck deck;
};

bool is_valid(const Deck& deck, const PlannedModel& model, int world) {
  try {
    config::validate_layout(deck, world);
    check_layout(deck, model.config, world);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

void recompute_all(Deck& deck) {
  deck.train.recompute_granularity = RecomputeGranularity::kFull;
  deck.train.recompute_method = config::RecomputeMethod::kUniform;
  deck.train.recompute_num_layers = 1;
}

/// Changes of a key or two that cannot change what is trained.
std::vector<Change> changes(const Deck& deck, const PlannedModel& model, int world) {
  std::vector<Change> list;
  const auto add = [&](const std::string& words,
                       const std::function<void(Deck&)>& change) {
    Deck changed = deck;
    change(changed);
    if (is_valid(changed, model, world)) list.push_back({words, changed});
  };
  const config::Parallel& p = deck.parallel;
  if (deck.train.recompute_granularity != RecomputeGranularity::kFull) {
    add("recompute_granularity = full, recompute_method = uniform", recompute_all);
    add("recompute_granularity = selective, recompute_modules = layernorm,mlp_act",
        [](Deck& d) {
          d.train.recompute_granularity = RecomputeGranularity::kSelective;
          d.train.recompute_modules = {"layernorm", "mlp_act"};
        });
  }
  if (!p.use_distributed_optimizer)
    add("use_distributed_optimizer = true",
        [](Deck& d) { d.parallel.use_distributed_optimizer = true; });
  if (!p.sequence_parallel && p.tensor_model_parallel_size > 1)
    add("sequence_parallel = true", [](Deck& d) { d.parallel.sequence_parallel = true; });
  add(cat("tensor_model_parallel_size = ", 2 * p.tensor_model_parallel_size,
          ", sequence_parallel = true, gradient_accumulation_steps = ",
          2 * deck.train.gradient_accumulation_steps),
      [](Deck& d) {
        d.parallel.tensor_model_parallel_size *= 2;
        d.parallel.sequence_parallel = true;
        d.train.gradient_accumulation_steps *= 2;
      });
  add(cat("pipeline_model_parallel_size = ", 2 * p.pipeline_model_parallel_size,
          ", gradient_accumulation_steps = ", 2 * deck.train.gradient_accumulation_steps),
      [](Deck& d) {
        d.parallel.pipeline_model_parallel_size *= 2;
        d.train.gradient_accumulation_steps *= 2;
      });
  if (model.config.experts() > 0)
    add(cat("expert_model_parallel_size = ", 2 * p.expert_model_parallel_size),
        [](Deck& d) { d.parallel.expert_model_parallel_size *= 2; });
  if (deck.train.per_device_train_batch_size % 2 == 0)
    add(cat("per_device_train_batch_size = ", deck.train.per_device_train_batch_size / 2,
            ", gradient_accumulation_steps = ",
            2 * deck.train.gradient_accumulation_steps),
        [](Deck& d) {
          d.train.per_device_train_batch_size /= 2;
          d.train.gradient_accumulation_steps *= 2;
        });
  return list;
}

struct Candidate {
  Deck deck;
  double bytes;
  StepEstimate estimate;
};

/// Sizes from 1 to `most` that divide it.
std::vector<int> divisors(int most) {
  std::vector<int> list;
  for (int size = 1; size <= most; ++size)
    if (most % size == 0) list.push_back(size);
  return list;
}

/// Sets the layout and keeps the samples of a step; false where these do not divide.
bool lay_out(Deck& deck, int tensor, int pipeline, int expert, int world,
             int64_t samples) {
  config::Parallel& p = deck.parallel;
  p.tensor_model_parallel_size = tensor;
  p.pipeline_model_parallel_size = pipeline;
  p.expert_model_parallel_size = expert;
  p.expert_tensor_parallel_size = 1;
  p.context_parallel_size = 1;
  p.virtual_pipeline_model_parallel_size = {};
  p.num_layers_in_first_pipeline_stage = p.num_layers_in_last_pipeline_stage = {};
  p.sequence_parallel = tensor > 1;
  p.use_distributed_optimizer = true;
  const int64_t at_once =
      deck.train.per_device_train_batch_size * (world / (tensor * pipeline));
  deck.train.gradient_accumulation_steps = samples / at_once;
  return samples % at_once == 0 && samples >= at_once;
}

void consider(const Deck& deck, const PlannedModel& model, int world, const GpuRates& gpu,
              std::vector<Candidate>& found) {
  if (!is_valid(deck, model, world)) return;
  for (const bool again : {false, true}) {
    Deck tried = deck;
    tried.train.recompute_granularity = RecomputeGranularity::kNone;
    if (again) recompute_all(tried);
    const double bytes = largest_total(stage_memory(tried, model, world));
    if (bytes > usable_memory(gpu)) continue;
    found.push_back({tried, bytes, estimate_step(tried, model, world, gpu)});
    return;
  }
}

std::string table_row(const Candidate& c, int world) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-46s %6lld   %-9s %10s %9.3g %10s %8.1f\n",
                layout_name(c.deck.parallel, world).c_str(),
                static_cast<long long>(c.deck.train.gradient_accumulation_steps),
                config::to_string(c.deck.train.recompute_granularity).c_str(),
                human_bytes(c.bytes).c_str(), c.estimate.seconds,
                human_count(c.estimate.tokens_per_second).c_str(),
                100 * c.estimate.idle_share);
  return text;
}

}  // namespace

std::string advice(const Deck& deck, const PlannedModel& model, int world,
                   const GpuRates& gpu) {
  const double now = largest_total(stage_memory(deck, model, world));
  const double seconds = estimate_step(deck, model, world, gpu).seconds;
  std::vector<std::pair<double, std::string>> lines;
  for (const Change& change : changes(deck, model, world)) {
    const double then = largest_total(stage_memory(change.deck, model, world));
    if (then >= now) continue;
    const double longer =
        estimate_step(change.deck, model, world, gpu).seconds / seconds - 1;
    lines.emplace_back(
        then, cat("    ", change.words, ": saves ", human_bytes(now - then), ", leaves ",
                  human_bytes(then), then <= usable_memory(gpu) ? ", fits; " : "; ",
                  formatted("%+.0f %% time\n", 100 * longer)));
  }
  std::sort(lines.begin(), lines.end());
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, lines.size()); ++i) text += lines[i].second;
  return text.empty() ? "    more GPUs: no single change of the deck saves memory\n"
                      : text;
}

std::string search_layouts(const Deck& deck, const PlannedModel& model, int gpus,
                           const GpuRates& gpu) {
  const config::Parallel& p = deck.parallel;
  const int model_ranks = p.tensor_model_parallel_size * p.pipeline_model_parallel_size *
                          p.context_parallel_size;
  const int64_t samples = deck.train.per_device_train_batch_size *
                          deck.train.gradient_accumulation_steps *
                          std::max(1, gpus / model_ranks);
  std::vector<Candidate> found;
  for (const int tensor : divisors(gpus)) {
    if (tensor > gpu.per_machine) break;
    for (const int pipeline : divisors(gpus / tensor)) {
      const bool sparse = model.config.experts() > 0;
      for (const int expert : sparse ? divisors(gpus / pipeline) : std::vector<int>{1}) {
        Deck tried = deck;
        if (lay_out(tried, tensor, pipeline, expert, gpus, samples))
          consider(tried, model, gpus, gpu, found);
      }
    }
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return a.estimate.seconds < b.estimate.seconds;
  });
  std::string text =
      cat("layouts for ", gpus, " ", gpu.name, " GPUs, ", samples,
          " samples a step, fastest first (", found.size(), " fit)\n",
          "  layout                                         accum.   recompute     memory"
          "    step s   tokens/s  bubble %\n");
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(kShown, found.size()); ++i)
    text += table_row(found[i], gpus);
  return found.empty() ? text + "  none fits: use more GPUs\n" : text;
}

}  // namespace mtrain::train
