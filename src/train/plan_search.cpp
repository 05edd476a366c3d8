// Tries all layouts for a number of GPUs and lists the fastest; used by --plan-search and
// by the plan's advice.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/figures.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

using config::Deck;
using config::RecomputeGranularity;

/// Sizes from 1 to `most` that divide it.
std::vector<int> divisors(int most) {
  std::vector<int> list;
  for (int size = 1; size <= most; ++size)
    if (most % size == 0) list.push_back(size);
  return list;
}

struct Sizes {
  int tensor, pipeline, expert;
};

/// Sets the layout and keeps the samples of a step; false where these do not divide.
bool lay_out(Deck& deck, const Sizes& sizes, int world, int64_t samples) {
  config::Parallel& p = deck.parallel;
  p.tensor_model_parallel_size = sizes.tensor;
  p.pipeline_model_parallel_size = sizes.pipeline;
  p.expert_model_parallel_size = sizes.expert;
  p.expert_tensor_parallel_size = 1;
  p.context_parallel_size = 1;
  p.virtual_pipeline_model_parallel_size = {};
  p.sequence_parallel = sizes.tensor > 1;
  p.use_distributed_optimizer = true;
  const int64_t at_once =
      deck.train.per_device_train_batch_size * (world / (sizes.tensor * sizes.pipeline));
  deck.train.gradient_accumulation_steps = samples / at_once;
  return samples % at_once == 0 && samples >= at_once;
}

/// Without recompute where that fits, else with all of it; nothing where neither does.
std::optional<Deck> with_room(const Deck& deck, const PlannedModel& model, int world,
                              const GpuRates& gpu) {
  if (!is_valid(deck, model, world)) return {};
  for (const bool again : {false, true}) {
    Deck tried = deck;
    tried.train.recompute_granularity = RecomputeGranularity::kNone;
    if (again) recompute_all(tried);
    if (largest_total(stage_memory(tried, model, world)) <= usable_memory(gpu))
      return tried;
  }
  return {};
}

/// The deck; where its layers do not divide with some of the uneven splits.
std::vector<Deck> with_splits(Deck deck, int layers) {
  constexpr size_t kMost = 3;
  std::vector<Deck> list;
  for (const auto& split :
       parallel::working_splits(split_options(deck.parallel, layers))) {
    set_split(deck.parallel, split);
    list.push_back(deck);
    if (parallel::split_keys(split).empty() || list.size() == kMost) break;
  }
  return list;
}

/// All layouts that keep the samples of a step, until `visit` returns false. What is
/// visited together differs in its split alone.
void each_layout(const Deck& deck, const PlannedModel& model, int gpus, int64_t samples,
                 const GpuRates& gpu,
                 const std::function<bool(const std::vector<Deck>&)>& visit) {
  const bool sparse = model.config.experts() > 0;
  for (const int tensor : divisors(gpus)) {
    if (tensor > gpu.per_machine) break;
    for (const int pipeline : divisors(gpus / tensor)) {
      if (pipeline > model.config.layers()) break;
      for (const int expert : sparse ? divisors(gpus / pipeline) : std::vector<int>{1}) {
        Deck tried = deck;
        if (lay_out(tried, {tensor, pipeline, expert}, gpus, samples) &&
            !visit(with_splits(tried, model.config.layers())))
          return;
      }
    }
  }
}

bool is_faster(const Candidate& a, const Candidate& b) {
  return a.estimate.seconds < b.estimate.seconds;
}

/// "11,12,12,11" for stages of differing numbers of layers.
std::string uneven_layers(const config::Parallel& p, int layers) {
  const auto options = split_options(p, layers);
  if (parallel::split_keys(options).empty()) return "";
  std::vector<int> counts;
  for (const auto& range : parallel::split_layers(options))
    counts.push_back(range.size());
  return join(counts, ",");
}

std::string table_row(const Candidate& c, int world, int layers) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-46s %6lld   %-9s %10s %9s %10s %8.1f",
                layout_name(c.deck.parallel, world).c_str(),
                static_cast<long long>(c.deck.train.gradient_accumulation_steps),
                config::to_string(c.deck.train.recompute_granularity).c_str(),
                human_bytes(c.bytes).c_str(), three_digits(c.estimate.seconds).c_str(),
                human_count(c.estimate.tokens_per_second).c_str(),
                100 * c.estimate.idle_share);
  const std::string uneven = uneven_layers(c.deck.parallel, layers);
  return cat(text, uneven.empty() ? "" : "  ", uneven, "\n");
}

}  // namespace

int64_t samples_a_step(const Deck& deck, int gpus) {
  const config::Parallel& p = deck.parallel;
  const int model_ranks = p.tensor_model_parallel_size * p.pipeline_model_parallel_size *
                          p.context_parallel_size;
  return deck.train.per_device_train_batch_size * deck.train.gradient_accumulation_steps *
         std::max(1, gpus / model_ranks);
}

std::vector<Candidate> fitting_layouts(const Deck& deck, const PlannedModel& model,
                                       int gpus, int64_t samples, const GpuRates& gpu) {
  std::vector<Candidate> found;
  each_layout(deck, model, gpus, samples, gpu, [&](const std::vector<Deck>& splits) {
    std::vector<Candidate> of_layout;
    for (const Deck& split : splits) {
      const auto fits = with_room(split, model, gpus, gpu);
      if (!fits) continue;
      of_layout.push_back({*fits, largest_total(stage_memory(*fits, model, gpus)),
                           estimate_step(*fits, model, gpus, gpu)});
    }
    const auto best = std::ranges::min_element(of_layout, is_faster);
    if (best != of_layout.end()) found.push_back(*best);
    return true;
  });
  std::ranges::sort(found, is_faster);
  return found;
}

bool some_layout_fits(const Deck& deck, const PlannedModel& model, int gpus,
                      int64_t samples, const GpuRates& gpu) {
  bool found = false;
  each_layout(deck, model, gpus, samples, gpu, [&](const std::vector<Deck>& splits) {
    for (const Deck& split : splits)
      found = found || with_room(split, model, gpus, gpu).has_value();
    return !found;
  });
  return found;
}

std::string search_table(const Deck& deck, const PlannedModel& model,
                         const PlanRequest& request, const GpuRates& gpu) {
  const int gpus = request.ranks;
  const int64_t samples = samples_a_step(deck, gpus);
  const auto found = fitting_layouts(deck, model, gpus, samples, gpu);
  std::string text =
      cat("layouts for ", gpus, " ", gpu.name, " GPUs, ", samples,
          " samples a step, fastest first (", found.size(), " fit)\n",
          "  layout                                         accum.   recompute     memory"
          "    step s   tokens/s  bubble %  layers where uneven\n");
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(kShown, found.size()); ++i)
    text += table_row(found[i], gpus, model.config.layers());
  if (found.empty())
    return text +
           "  none fits: use more GPUs, a smaller per_device_train_batch_size or "
           "a lower cutoff_len\n";
  return cat(text, "the first of them: ",
             command_with(request, changed_keys(deck, found.front().deck)), "\n");
}

}  // namespace mtrain::train
