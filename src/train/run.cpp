// Entry points of the programs into the train layer.
#include "mtrain/train/run.hpp"

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "plan.hpp"
#include "token_stores.hpp"
#include "trainer.hpp"

namespace mtrain::train {
namespace {

/// Reads what is there before a run: headers of the weights, all of the token stores.
void check_files(const config::Deck& deck, const models::ModelConfig& config) {
  const std::string& model = deck.model.model_name_or_path;
  if (!model.empty()) open_model(config, model);
  const std::string& store = deck.data.tokenized_path;
  if (store.empty()) return;
  for (const auto& path : {store, eval_store_path(store)}) {
    if (std::filesystem::exists(path)) {
      check_store(path, deck.train.stage, config.vocab_size());
    }
  }
}

}  // namespace

ExitCode run_training(const config::ParsedDeck& parsed, const comm::Session& session) {
  return Trainer(parsed, session).run();
}

std::string check_run(const config::ParsedDeck& parsed, int world_size) {
  const ModelDescription description = read_model_description(parsed.deck.model);
  check_layout(parsed.deck, *description.config, world_size);
  check_files(parsed.deck, *description.config);
  return plan_text(parsed.deck, *description.config, world_size);
}

void prepare_data(const config::ParsedDeck& parsed, const comm::Session& session) {
  token_stores(parsed.deck, session);
}

std::string show_record(const config::ParsedDeck& parsed, int64_t record) {
  const auto options = prepare_options(parsed.deck, parsed.deck.data.dataset, "");
  const data::TokenStoreReader store(parsed.deck.data.tokenized_path);
  if (record < 0 || record >= store.num_samples()) {
    throw UserError(cat("--show ", record, ": ", store.path(), " holds samples 0 to ",
                        store.num_samples() - 1));
  }
  const auto tokenizer = data::Tokenizer::load(options.tokenizer_dir);
  return data::show(tokenizer, store.read(record));
}

}  // namespace mtrain::train
