// Owns the changes of a deck that save memory and cannot change what is trained, and how
// they are written; used by the plan's advice and search.
#include <algorithm>

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/config/parse.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

using config::Deck;
using config::RecomputeGranularity;

/// Stages of so many ranks more each keep the samples of a step.
void halve_data_parallel(Deck& deck) {
  deck.train.gradient_accumulation_steps *= 2;
}

void split_evenly(Deck& deck, int layers) {
  const auto splits = parallel::working_splits(split_options(deck.parallel, layers));
  if (!splits.empty()) set_split(deck.parallel, splits.front());
}

std::vector<Change> recompute_changes(const Deck& deck) {
  if (deck.train.recompute_granularity == RecomputeGranularity::kFull) return {};
  return {recompute_all, [](Deck& d) {
            auto& modules = d.train.recompute_modules;
            if (d.train.recompute_granularity == RecomputeGranularity::kNone)
              modules.clear();
            d.train.recompute_granularity = RecomputeGranularity::kSelective;
            for (const char* cheap : {"layernorm", "mlp_act"})
              if (std::ranges::find(modules, cheap) == modules.end())
                modules.emplace_back(cheap);
          }};
}

std::vector<Change> layout_changes(int layers) {
  return {[](Deck& d) { d.parallel.use_distributed_optimizer = true; },
          [](Deck& d) {
            d.parallel.sequence_parallel = d.parallel.tensor_model_parallel_size > 1;
          },
          [](Deck& d) {
            d.parallel.tensor_model_parallel_size *= 2;
            d.parallel.sequence_parallel = true;
            halve_data_parallel(d);
          },
          [layers](Deck& d) {
            d.parallel.pipeline_model_parallel_size *= 2;
            split_evenly(d, layers);
            halve_data_parallel(d);
          },
          [](Deck& d) { d.parallel.expert_model_parallel_size *= 2; }};
}

void halve_micro_batch(Deck& deck) {
  deck.train.per_device_train_batch_size /= 2;
  deck.train.gradient_accumulation_steps *= 2;
}

}  // namespace

void recompute_all(Deck& deck) {
  deck.train.recompute_granularity = RecomputeGranularity::kFull;
  deck.train.recompute_method = config::RecomputeMethod::kUniform;
  deck.train.recompute_num_layers = 1;
}

bool is_valid(const Deck& deck, const PlannedModel& model, int world) {
  try {
    config::validate_layout(deck, world);
    check_layout(deck, model.config, world);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

std::vector<Change> possible_changes(const Deck& deck, const PlannedModel& model,
                                     int world) {
  std::vector<Change> all = recompute_changes(deck);
  for (auto& change : layout_changes(model.config.layers())) all.push_back(change);
  if (deck.train.per_device_train_batch_size % 2 == 0) all.push_back(halve_micro_batch);
  std::vector<Change> possible;
  for (const Change& change : all) {
    Deck changed = deck;
    change(changed);
    if (!changed_keys(deck, changed).empty() && is_valid(changed, model, world))
      possible.push_back(change);
  }
  return possible;
}

std::vector<std::pair<std::string, std::string>> changed_keys(const Deck& before,
                                                              const Deck& after) {
  constexpr const char* kKeys[] = {"recompute_granularity",
                                   "recompute_method",
                                   "recompute_num_layers",
                                   "recompute_modules",
                                   "use_distributed_optimizer",
                                   "tensor_model_parallel_size",
                                   "sequence_parallel",
                                   "pipeline_model_parallel_size",
                                   "virtual_pipeline_model_parallel_size",
                                   "num_layers_in_first_pipeline_stage",
                                   "num_layers_in_last_pipeline_stage",
                                   "account_for_embedding_in_pipeline_split",
                                   "account_for_loss_in_pipeline_split",
                                   "context_parallel_size",
                                   "expert_model_parallel_size",
                                   "expert_tensor_parallel_size",
                                   "per_device_train_batch_size",
                                   "gradient_accumulation_steps"};
  std::vector<std::pair<std::string, std::string>> keys;
  for (const char* key : kKeys) {
    const std::string value = config::value_text(after, key);
    if (value != config::value_text(before, key)) keys.emplace_back(key, value);
  }
  return keys;
}

std::string in_words(const std::vector<std::pair<std::string, std::string>>& keys) {
  std::vector<std::string> words;
  for (const auto& [key, value] : keys) words.push_back(cat(key, " = ", value));
  return join(words, ", ");
}

std::string command_with(const PlanRequest& request,
                         const std::vector<std::pair<std::string, std::string>>& keys) {
  std::vector<std::string> words;
  for (const std::string& word : request.command) {
    const std::string name = word.substr(0, word.find('='));
    const bool replaced = std::ranges::any_of(keys, [&](const auto& key) {
      return name == key.first || name.ends_with("." + key.first);
    });
    if (!replaced) words.push_back(word);
  }
  if (!keys.empty()) words.push_back(as_arguments(keys));
  return join(words, " ");
}

std::string as_arguments(const std::vector<std::pair<std::string, std::string>>& keys) {
  std::vector<std::string> words;
  for (const auto& [key, value] : keys)
    words.push_back(cat(key, "=", join(split(value, ' '), "")));
  return join(words, " ");
}

}  // namespace mtrain::train
