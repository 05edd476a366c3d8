// Owns the list of all a token store is made from, which tells a store that is out of
// date; called by the preparation and the comparison of stores.
#include "store_settings.hpp"

#include <filesystem>

#include "dataset_info.hpp"
#include "input_file.hpp"
#include "mapped_file.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/content_hash.hpp"

namespace mtrain::data {
namespace {

namespace fs = std::filesystem;

// Raised with every change that makes other samples from the same input.
constexpr int kRulesVersion = 3;

constexpr char kTokenizer[] = "tokenizer.json";
constexpr char kTokenizerConfig[] = "tokenizer_config.json";
constexpr char kChatTemplate[] = "chat_template.jinja";

constexpr size_t kLongestValue = 200;  // longer ones are kept as a hash
constexpr size_t kShownValue = 60;

// Names of tokenizer_config.json that say nothing about tokens. A template is read from
// there only where the deck names none.
constexpr const char* kNotOfTokens[] = {
    "name_or_path", "_name_or_path",    "transformers_version", "tokenizer_class",
    "auto_map",     "model_max_length", "processor_class",      "padding_side",
    "is_local",     "local_files_only"};

template <class T>
std::string shown(const std::optional<T>& value) {
  return value ? cat(*value) : "null";
}
std::string shown(const std::optional<bool>& value) {
  return value ? (*value ? "true" : "false") : "null";
}
std::string shown(bool value) {
  return value ? "true" : "false";
}

std::string hash_of_text(const std::string& text) {
  ContentHash hash;
  hash.add(text);
  return hash.hex();
}

std::string short_value(const std::string& value) {
  if (value.size() <= kLongestValue) return value;
  return cat(value.size(), " characters with the hash ", hash_of_text(value));
}

std::string mixing(const PrepareOptions& o) {
  switch (o.mix_strategy) {
    case MixStrategy::kConcat:
      return "concat";
    case MixStrategy::kInterleaveUnder:
      return "interleave_under";
    case MixStrategy::kInterleaveOver:
      return "interleave_over";
    case MixStrategy::kInterleaveOnce:
      break;
  }
  return "interleave_once";
}

std::string describe(const DatasetEntry& entry, uint64_t seed) {
  const ColumnNames& c = entry.columns;
  const TagNames& t = entry.tags;
  return join(
      std::vector<std::string>{
          std::to_string(static_cast<int>(entry.formatting)),
          entry.num_samples ? cat(*entry.num_samples, " drawn by ", seed) : "all",
          c.prompt, c.query, c.response, c.messages, c.history, c.system, c.tools,
          c.chosen, c.rejected, t.role, t.content, t.user, t.assistant, t.observation,
          t.function, t.system},
      "|");
}

void add_config(const fs::path& path, bool names_template, ContentHash& hash) {
  if (!fs::exists(path)) return;
  Json config = parse_json(read_input(path.string()), path.string());
  if (config.is_object())
    for (const char* name : kNotOfTokens) config.erase(name);
  if (config.is_object() && names_template) config.erase("chat_template");
  hash.add(config.dump());
}

std::string value_in(const Json& stored, const std::string& key) {
  const auto found = stored.find(key);
  return found != stored.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::vector<std::string> input_files(const PrepareOptions& o) {
  const fs::path folder(o.tokenizer_dir);
  std::vector<std::string> paths = {
      (fs::path(o.dataset_dir) / "dataset_info.json").string()};
  for (const char* name : {kTokenizer, kTokenizerConfig, kChatTemplate})
    paths.push_back((folder / name).string());
  for (const auto* names : {&o.dataset, &o.eval_dataset})
    for (const auto& entry : read_dataset_info(o.dataset_dir, *names, o.stage))
      paths.insert(paths.end(), entry.paths.begin(), entry.paths.end());
  return paths;
}

PrepareOptions evaluation_options(const PrepareOptions& options) {
  PrepareOptions result = options;
  if (!options.eval_dataset.empty()) {
    result.dataset = options.eval_dataset;
    result.eval_dataset.clear();
  }
  result.output_path = options.eval_output_path;
  return result;
}

StoreSettings deck_settings(const PrepareOptions& o) {
  const bool draws = o.val_size > 0 || !o.interleave_probs.empty();
  StoreSettings settings = {{"rules of mtrain", cat(kRulesVersion)},
                            {"stage", o.stage == Stage::kPt    ? "pt"
                                      : o.stage == Stage::kSft ? "sft"
                                                               : "dpo"},
                            {"dataset", join(o.dataset, ", ")},
                            {"template", o.template_name},
                            {"cutoff_len", cat(o.cutoff_len)},
                            {"max_samples", shown(o.max_samples)},
                            {"packing", shown(o.packing)},
                            {"neat_packing", shown(o.neat_packing)},
                            {"pt_packing", o.documents_apart ? "documents" : "blocks"},
                            {"train_on_prompt", shown(o.train_on_prompt)},
                            {"mask_history", shown(o.mask_history)},
                            {"preserve_thinking", shown(o.preserve_thinking)},
                            {"enable_thinking", shown(o.enable_thinking)},
                            {"default_system", shown(o.default_system)},
                            {"tool_format", shown(o.tool_format)},
                            {"skip_malformed", shown(o.skip_malformed)},
                            {"preprocessing_batch_size", cat(o.preprocessing_batch_size)},
                            {"mix_strategy", mixing(o)},
                            {"interleave_probs", join(o.interleave_probs, ", ")},
                            {"val_size", cat(o.val_size)},
                            {"seed", draws ? cat(o.seed) : "any"}};
  for (auto& [key, value] : settings) value = short_value(value);
  return settings;
}

StoreSettings tokenizer_settings(const PrepareOptions& o) {
  ContentHash hash;
  const fs::path folder(o.tokenizer_dir);
  const bool named = !o.template_name.empty();
  hash.add(MappedFile((folder / kTokenizer).string()).bytes());
  add_config(folder / kTokenizerConfig, named, hash);
  const fs::path chat = folder / kChatTemplate;
  if (!named && fs::exists(chat)) hash.add(MappedFile(chat.string()).bytes());
  return {{"files of the tokenizer", hash.hex()}};
}

StoreSettings dataset_settings(const PrepareOptions& o) {
  StoreSettings settings;
  for (const auto& entry : read_dataset_info(o.dataset_dir, o.dataset, o.stage)) {
    settings.emplace_back(cat("dataset_info.json of ", entry.name),
                          hash_of_text(describe(entry, o.seed)));
    ContentHash hash;
    for (const auto& path : entry.paths) hash.add(MappedFile(path).bytes());
    settings.emplace_back(cat("files of ", entry.name), hash.hex());
  }
  return settings;
}

StoreSettings store_settings(const PrepareOptions& o) {
  StoreSettings settings = deck_settings(o);
  for (const auto& more : {tokenizer_settings(o), dataset_settings(o)})
    settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

std::string hash_of(const StoreSettings& settings) {
  return hash_of_text(to_text(settings));
}

std::string to_text(const StoreSettings& settings) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [key, value] : settings) json[key] = value;
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::vector<std::string> differences(const std::string& stored,
                                     const StoreSettings& settings) {
  const Json before = Json::parse(stored, nullptr, false);
  const Json now = Json::parse(to_text(settings));
  const auto shorten = [](const std::string& value) {
    if (value.empty()) return std::string("nothing");
    return value.size() > kShownValue ? value.substr(0, kShownValue) + "..." : value;
  };
  std::vector<std::string> found;
  for (const auto& [key, ignored] : settings) {
    const std::string old_value = before.is_object() ? value_in(before, key) : "";
    const std::string value = value_in(now, key);
    if (old_value != value)
      found.push_back(
          cat(key, ": ", shorten(old_value), " in the store, now ", shorten(value)));
  }
  return found;
}

}  // namespace mtrain::data
