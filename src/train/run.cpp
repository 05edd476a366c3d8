// Entry points of the programs into the train layer.
#include "mtrain/train/run.hpp"

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "no_room.hpp"
#include "plan.hpp"
#include "plan_parts.hpp"
#include "reference_cache.hpp"
#include "token_stores.hpp"
#include "trainer.hpp"

namespace mtrain::train {
namespace {

/// Reads what is there before a run: headers of the weights, all of the token stores.
void check_files(const config::Deck& deck, const models::ModelConfig& config) {
  const std::string& model = deck.model.model_name_or_path;
  if (!model.empty()) open_model(config, model);
  if (!deck.dpo.ref_model.empty()) open_model(config, deck.dpo.ref_model);
  const std::string& store = deck.data.tokenized_path;
  if (!store_exists(deck.data)) return;
  compare_given_stores(deck);
  for (const auto& path : {store, eval_store_path(store)}) {
    if (std::filesystem::exists(path)) {
      check_store(path, deck.train.stage, config.vocab_size());
    }
  }
}

}  // namespace

ExitCode run_training(const config::ParsedDeck& parsed, const comm::Session& session) {
  Trainer trainer(parsed, session);
  try {
    return explain_no_room(
        parsed.deck, session.world_size(), [&] { return trainer.memory_text(); },
        [&] { return trainer.run(); });
  } catch (const comm::CommunicationError& error) {
    const std::string reason = error.on_all_ranks() ? "" : trainer.explain();
    if (reason.empty()) throw;
    throw Error(cat(error.what(), "; ", reason), error.remedy());
  }
}

std::string check_run(const config::ParsedDeck& parsed, int world_size,
                      const std::string& gpu) {
  const ModelDescription description = read_model_description(parsed.deck.model);
  check_layout(parsed.deck, *description.config, world_size);
  check_files(parsed.deck, *description.config);
  return plan_text(parsed.deck, *description.config, world_size, gpu);
}

std::string search_plans(const config::ParsedDeck& parsed, int gpus,
                         const std::string& gpu) {
  const ModelDescription description = read_model_description(parsed.deck.model);
  return plan_search_text(parsed.deck, *description.config, gpus, gpu);
}

void prepare_data(const config::ParsedDeck& parsed, const comm::Session& session) {
  if (!parsed.deck.data.dataset.empty()) prepare_stores(parsed.deck, session);
  const bool pairs = parsed.deck.train.stage == config::Stage::kDpo;
  if (pairs && !parsed.deck.dpo.ref_log_probs.empty())
    write_reference(parsed.deck, session);
}

std::string show_record(const config::ParsedDeck& parsed, int64_t record) {
  const std::string& path = parsed.deck.data.tokenized_path;
  const data::TokenStoreReader store(path);
  const int64_t each = store.attributes().stage == data::Stage::kDpo ? 2 : 1;
  if (record < 0 || record >= store.num_samples() / each) {
    throw UserError(cat("--show ", record, ": ", store.path(), " holds records 0 to ",
                        store.num_samples() / each - 1));
  }
  const auto options = prepare_options(parsed.deck, path);
  const auto tokenizer = data::Tokenizer::load(options.tokenizer_dir);
  std::string text;
  for (int64_t i = record * each; i < (record + 1) * each; ++i) {
    if (each == 2) text += i % 2 == 0 ? "chosen\n" : "rejected\n";
    text += data::show(tokenizer, store.read(i));
  }
  return text;
}

}  // namespace mtrain::train
