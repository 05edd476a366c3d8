// Compares a checkpoint with the run that goes on from it, tells what differs, and
// refuses what nobody accepted; called when a trainer reads its inputs.
#include "resume_changes.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "checkpointing.hpp"
#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/config/on_resuming.hpp"
#include "mtrain/config/parse.hpp"

namespace mtrain::train {
namespace {

using checkpoint::TrainingState;
using config::OnResuming;
using Lines = std::vector<std::string>;

constexpr char kRemedy[] =
    "take the old values back; or go on with the new ones by accept_changes = true "
    "(--accept-changes); or begin anew in another output_dir";

/// What differs, by what it does.
struct Differences {
  Lines training, length, harmless;
  bool other_batch = false;  ///< a step has another number of samples
};

std::optional<int64_t> number_in(const TrainingState& state, const std::string& field) {
  const auto found = state.extra.find(field);
  if (found == state.extra.end()) return {};
  const std::string& text = found->second;
  int64_t value = 0;
  const auto [end, fault] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = fault == std::errc() && end == text.data() + text.size();
  return whole && value > 0 ? std::optional(value) : std::nullopt;
}

int64_t global_batch(const config::Deck& deck, int world_size) {
  return deck.train.per_device_train_batch_size * deck.train.gradient_accumulation_steps *
         config::data_parallel_size(deck, world_size);
}

/// Samples of the steps before the checkpoint.
int64_t batch_until(const TrainingState& state, const config::Deck& deck) {
  const auto known = number_in(state, kGlobalBatchField);
  return known ? *known : std::max<int64_t>(1, global_batch(deck, state.world_size));
}

/// Of config.json: names that say nothing about what is computed.
bool is_computed_with(const std::string& name) {
  for (const char* other : {"_name_or_path", "transformers_version", "torch_dtype",
                            "dtype", "use_cache", "architectures"})
    if (name == other) return false;
  return !name.ends_with("_token_id");
}

/// Fields of config.json that differ.
Lines model_changes(const std::string& before, const std::string& after) {
  const auto was = nlohmann::json::parse(before, nullptr, false);
  const auto is = nlohmann::json::parse(after, nullptr, false);
  if (!was.is_object() || !is.is_object()) return {};
  Lines lines;
  const auto compare = [&](const std::string& name) {
    const auto a = was.value(name, nlohmann::json()), b = is.value(name, a);
    const bool same = is.contains(name) ? a == b : a.is_null();
    if (is_computed_with(name) && !same)
      lines.push_back(cat("config.json: ", name, " ", a.dump(), " -> ",
                          is.contains(name) ? b.dump() : "absent", " (the model)"));
  };
  for (const auto& [name, value] : was.items()) compare(name);
  for (const auto& [name, value] : is.items())
    if (!was.contains(name)) compare(name);
  return lines;
}

void add_batch(const Lines& keys, int64_t before, int64_t now, Differences& found) {
  found.other_batch = before != now;
  if (keys.empty()) return;
  Lines& lines = found.other_batch ? found.training : found.harmless;
  for (const auto& key : keys) lines.push_back(key);
  if (found.other_batch)
    lines.back() += cat(" (samples of a step: ", before, " -> ", now, ")");
}

Differences differences(const TrainingState& state, const config::Deck& before,
                        const config::Deck& deck, const ModelDescription& description,
                        int world_size) {
  Differences found;
  Lines batch;
  for (const auto& change : config::changes(before, deck)) {
    const std::string line = to_string(change);
    // What "auto" stands for is in the checkpoint.
    if (change.key == "dtype") continue;
    if (change.rule.effect == OnResuming::kHarmless) found.harmless.push_back(line);
    if (change.rule.effect == OnResuming::kLength) found.length.push_back(line);
    if (change.rule.effect == OnResuming::kBatch) batch.push_back(line);
    if (change.rule.effect == OnResuming::kTraining)
      found.training.push_back(cat(line, " (", change.rule.meaning, ")"));
  }
  add_batch(batch, batch_until(state, before), global_batch(deck, world_size), found);
  const auto was = dtype_name(saved_dtype(state));
  const auto is = dtype_name(weights_dtype(deck.model, *description.config));
  if (was != is)
    found.training.push_back(
        cat("dtype ", was, " -> ", is, " (", config::resume_rule("dtype").meaning, ")"));
  for (auto& line : model_changes(state.model_config_json, description.text))
    found.training.push_back(std::move(line));
  if (state.world_size != world_size)
    found.harmless.push_back(cat("ranks ", state.world_size, " -> ", world_size));
  return found;
}

/// Tells of changes that are accepted; throws where they are not.
void settle(const Lines& changes, const std::string& where, const config::Deck& deck) {
  if (changes.empty()) return;
  const std::string text = cat(
      where, " was trained otherwise than this run would be:\n  ", join(changes, "\n  "));
  if (!deck.checkpoint.accept_changes) throw UserError(text, kRemedy);
  log::warning(cat(text, "\naccept_changes = true: it goes on with the new values"));
}

void tell_batch(int64_t before, int64_t now, const config::Deck& deck) {
  const std::string what =
      cat("a step has ", now, " samples now, ", before, " until this checkpoint: ");
  if (deck.train.max_steps >= 0) {
    log::warning(cat(what,
                     "max_steps and the schedule go on counting steps, so that "
                     "the run sees other samples in all"));
  } else {
    log::warning(cat(what,
                     "the run ends with its last epoch all the same, and the "
                     "learning rate goes by samples"));
  }
}

}  // namespace

void check_changes(const checkpoint::CheckpointReader& reader, const config::Deck& deck,
                   const ModelDescription& description, int world_size) {
  const TrainingState& state = reader.state();
  const std::string where = reader.folder().string();
  const auto before = config::stored_deck(reader.deck_text());
  if (!before) {
    if (state.step > 0)
      log::warning(cat(where,
                       " does not say by which deck it was trained: nothing is "
                       "compared"));
    return;
  }
  const Differences found = differences(state, *before, deck, description, world_size);
  settle(found.training, where, deck);
  if (found.other_batch)
    tell_batch(batch_until(state, *before), global_batch(deck, world_size), deck);
  if (!found.length.empty())
    log::warning(cat("the run has another length than until ", where, ": ",
                     join(found.length, ", "),
                     "; the schedule of the learning rate "
                     "follows it"));
  if (!found.harmless.empty())
    log::info(cat("otherwise than until ", where,
                  ", without changing what is trained: ", join(found.harmless, ", ")));
}

void check_resuming(const config::Deck& deck, const ModelDescription& description,
                    int world_size) {
  const std::string& wanted = deck.model.resume_from_checkpoint;
  if (wanted == "none") return;
  if (wanted != "auto")
    return check_changes(checkpoint::CheckpointReader(wanted), deck, description,
                         world_size);
  for (const auto& folder : checkpoint::list_checkpoints(deck.checkpoint.output_dir)) {
    std::optional<checkpoint::CheckpointReader> reader;
    try {
      reader.emplace(folder);
    } catch (const UserError& fault) {
      log::warning(cat(folder.string(), " is damaged: ", fault.what()));
      continue;
    }
    return check_changes(*reader, deck, description, world_size);
  }
}

void check_data(const TrainingState& state, const TrainedData& now,
                const config::Deck& deck) {
  const auto content = state.extra.find(kDataContentField);
  const auto rows = number_in(state, kDataRowsField);
  const std::string where = cat("checkpoint of step ", state.step);
  if (content == state.extra.end() || !rows) {
    if (state.step > 0)
      log::warning(cat("the ", where,
                       " does not say which samples it was trained on: "
                       "nothing is compared"));
    return;
  }
  if (content->second == now.content) return;
  std::string line = "the data: other tokens in as many samples";
  if (*rows != now.rows)
    line = cat("the data: ", *rows, " samples -> ", now.rows,
               " (the run would go on at "
               "the same share of the epoch, in another order of samples)");
  settle({line}, cat("the ", where), deck);
}

int64_t first_batch(const checkpoint::CheckpointReader& reader, int64_t now) {
  if (const auto known = number_in(reader.state(), kFirstBatchField)) return *known;
  const auto deck = config::stored_deck(reader.deck_text());
  return deck ? batch_until(reader.state(), *deck) : now;
}

int64_t carried_cursor(const TrainingState& state, int64_t rows) {
  const int64_t cursor = state.samples_consumed;
  const int64_t before = number_in(state, kDataRowsField).value_or(rows);
  if (before == rows) return cursor;
  const double share = static_cast<double>(cursor % before) / static_cast<double>(before);
  return cursor / before * rows + static_cast<int64_t>(share * static_cast<double>(rows));
}

}  // namespace mtrain::train
