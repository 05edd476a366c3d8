// Finds or prepares token stores and checks them before anything is trained.
#include "token_stores.hpp"

#include <filesystem>

#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/data/token_store.hpp"
#include "remedy.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// True when a store of ours made from exactly these inputs is there already.
bool up_to_date(const data::PrepareOptions& options) {
  if (!fs::exists(options.output_path)) return false;
  const data::TokenStoreReader store(options.output_path);
  return store.attributes().source_hash == data::source_hash(options);
}

void prepare_and_report(const data::PrepareOptions& options) {
  const bool keep = with_remedy(kDataRemedy, [&] { return up_to_date(options); });
  if (keep) {
    log::info(cat("data: ", options.output_path, " is up to date"));
    return;
  }
  const auto stats = with_remedy(kDataRemedy, [&] { return data::prepare(options); });
  log::info(cat("data: ", join(options.dataset, ","), " -> ", options.output_path, ": ",
                stats.samples, " samples, ", human_count(double(stats.tokens)),
                " tokens, ", human_count(double(stats.trained_positions)), " trained, ",
                stats.dropped, " records dropped, ",
                human_count(double(stats.tokens) / stats.seconds), " tok/s"));
}

}  // namespace

std::string eval_store_path(const std::string& train_path) {
  const fs::path path(train_path);
  return (path.parent_path() /
          (path.stem().string() + ".eval" + path.extension().string()))
      .string();
}

data::Stage data_stage(config::Stage stage) {
  switch (stage) {
    case config::Stage::kPt:
      return data::Stage::kPt;
    case config::Stage::kSft:
      return data::Stage::kSft;
    case config::Stage::kDpo:
      return data::Stage::kDpo;
  }
  return data::Stage::kSft;
}

data::PrepareOptions prepare_options(const config::Deck& deck,
                                     const std::vector<std::string>& datasets,
                                     const std::string& output_path) {
  const auto& d = deck.data;
  data::PrepareOptions options;
  options.stage = data_stage(deck.train.stage);
  options.dataset = datasets;
  options.dataset_dir = d.dataset_dir;
  options.template_name = d.template_;
  options.cutoff_len = d.cutoff_len;
  options.max_samples = d.max_samples;
  options.packing = d.packing;
  options.neat_packing = d.neat_packing;
  options.train_on_prompt = d.train_on_prompt;
  options.mask_history = d.mask_history;
  options.enable_thinking = d.enable_thinking;
  options.preserve_thinking = d.preserve_thinking;
  options.default_system = d.default_system;
  options.tool_format = d.tool_format;
  options.preprocessing_batch_size = d.preprocessing_batch_size;
  options.tokenizer_dir = tokenizer_dir(deck.model).string();
  options.output_path = output_path;
  return options;
}

StorePaths token_stores(const config::Deck& deck, const comm::Session& session) {
  const std::string given = deck.data.tokenized_path;
  const std::string path =
      given.empty() ? (fs::path(deck.checkpoint.output_dir) / "tokens.h5").string()
                    : given;
  const std::string eval_path = eval_store_path(path);
  StorePaths stores{path, std::nullopt};
  session.agree([&] {
    if (session.rank() != 0) return;
    const bool found = !given.empty() && fs::exists(given);
    if (!found && deck.data.dataset.empty()) {
      throw UserError(cat("tokenized_path: no file ", given),
                      "give an existing token store, or dataset to make it from");
    }
    if (!found) prepare_and_report(prepare_options(deck, deck.data.dataset, path));
    if (!deck.data.eval_dataset.empty()) {
      prepare_and_report(prepare_options(deck, deck.data.eval_dataset, eval_path));
    }
  });
  session.agree([&] {
    if (fs::exists(eval_path)) stores.eval = eval_path;
  });
  return stores;
}

void check_store(const std::string& path, config::Stage stage, int64_t vocab_size) {
  const data::TokenStoreReader store(path);
  if (store.num_samples() == 0) {
    throw UserError(cat(path, ": the token store holds no sample"),
                    "check dataset and max_samples");
  }
  if (store.attributes().stage != data_stage(stage)) {
    throw UserError(cat(path, ": the token store was made for another stage than ",
                        config::to_string(stage)),
                    "set stage to the store's, or prepare it again");
  }
  const auto scan = store.scan();
  if (scan.max_token_id >= vocab_size) {
    throw UserError(cat(path, ": token id ", scan.max_token_id,
                        " is beyond the model's vocabulary of ", vocab_size),
                    "prepare the data with the tokenizer of this model");
  }
  if (scan.trained_positions == 0) {
    throw UserError(cat(path, ": every label is masked (-100), nothing would be trained"),
                    "check template, cutoff_len and the answers of the dataset");
  }
}

}  // namespace mtrain::train
