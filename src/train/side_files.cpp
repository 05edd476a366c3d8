// Owns what stands in the small files of an exported model; called before training, so
// that faults show early, and by mconvert.
#include "side_files.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "layout.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/base/json_edit.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/data/tokenizer_fixes.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kConfig[] = "config.json", kGeneration[] = "generation_config.json";
constexpr char kTokenizerConfig[] = "tokenizer_config.json";
constexpr char kSpecialTokens[] = "special_tokens_map.json";

/// Fields of TrainingState::extra.
constexpr char kFolderField[] = "tokenizer_dir", kTemplateField[] = "template";
constexpr char kSystemField[] = "default_system";

std::string* find(SideFiles& files, const std::string& name) {
  const auto found = std::ranges::find(files, name, &checkpoint::TextFile::name);
  return found == files.end() ? nullptr : &found->text;
}

json member(const std::string& text, const char* key, const std::string& name) {
  const auto parsed = parse_ordered_json(text, name, JsonDialect::kPythonText);
  const auto found = parsed.find(key);
  return found == parsed.end() ? json() : json(*found);
}

/// `id` and after it what ended a text before, as transformers' Trainer aligns them.
json with_first(int32_t id, const json& before) {
  json ids = before.is_array() ? before : json::array();
  if (before.is_number()) ids.push_back(before);
  if (std::ranges::find(ids, json(id)) != ids.end()) return before;
  ids.insert(ids.begin(), id);
  return ids.size() == 1 ? ids.front() : ids;
}

void end_with(const data::TokenizerFixes& tokens, SideFiles& files) {
  std::string& config = *find(files, kConfig);
  const json before = member(config, "eos_token_id", kConfig);
  if (with_first(tokens.eos_id, before) != before)
    config = with_member(config, "eos_token_id", tokens.eos_id);
  std::string& generation = *find(files, kGeneration);
  const json ends = member(generation, "eos_token_id", kGeneration);
  generation = with_member(generation, "eos_token_id", with_first(tokens.eos_id, ends));
  if (member(generation, "pad_token_id", kGeneration).is_null())
    generation = with_member(generation, "pad_token_id", tokens.pad_id);
}

/// A token is written as its text, or as an object with its content.
bool names(const json& value, const std::string& token) {
  return value == token || (value.is_object() && value.value("content", json()) == token);
}

void name_tokens(const data::TokenizerFixes& tokens, const char* name,
                 std::string& text) {
  if (!names(member(text, "eos_token", name), tokens.eos_token))
    text = with_member(text, "eos_token", tokens.eos_token);
  if (member(text, "pad_token", name).is_null())
    text = with_member(text, "pad_token", tokens.pad_token);
}

/// Nothing where the tokenizer is of a kind that only others read.
std::optional<data::TokenizerFixes> fixes_of(const TokenizerOrigin& origin) {
  if (!origin.template_name || !fs::exists(origin.folder / "tokenizer.json")) return {};
  try {
    const auto tokenizer = data::Tokenizer::load(origin.folder.string());
    return data::tokenizer_fixes(*origin.template_name, tokenizer, origin.default_system);
  } catch (const UserError& fault) {
    if (!origin.prepares)
      log::warning(cat("the tokenizer will be saved as it is: ", fault.what()));
    return {};
  }
}

}  // namespace

TokenizerOrigin tokenizer_origin(const config::Deck& deck) {
  return {tokenizer_dir(deck.model), deck.data.template_, deck.data.default_system,
          deck.data.tokenized_path.empty()};
}

void note_tokenizer(const TokenizerOrigin& origin, checkpoint::TrainingState& state) {
  state.extra[kFolderField] = fs::absolute(origin.folder).string();
  if (origin.template_name) state.extra[kTemplateField] = *origin.template_name;
  if (origin.default_system) state.extra[kSystemField] = *origin.default_system;
}

TokenizerOrigin tokenizer_origin(const checkpoint::TrainingState& state) {
  const auto field = [&](const char* name) {
    const auto found = state.extra.find(name);
    return found == state.extra.end() ? std::nullopt : std::optional(found->second);
  };
  return {field(kFolderField).value_or(""), field(kTemplateField), field(kSystemField),
          false};
}

SideFiles side_files(const std::string& config_text, at::ScalarType dtype,
                     const TokenizerOrigin& tokenizer) {
  SideFiles files;
  if (!tokenizer.folder.empty())
    files = checkpoint::read_tokenizer_files(tokenizer.folder);
  files.insert(files.begin(), {kConfig, published_config(config_text, dtype)});
  if (!find(files, kGeneration))
    files.push_back({kGeneration, generation_config(config_text)});
  const auto tokens = fixes_of(tokenizer);
  if (!tokens) return files;
  end_with(*tokens, files);
  if (!find(files, kTokenizerConfig)) files.push_back({kTokenizerConfig, "{}"});
  for (const char* name : {kTokenizerConfig, kSpecialTokens})
    if (std::string* text = find(files, name)) name_tokens(*tokens, name, *text);
  std::string& text = *find(files, kTokenizerConfig);
  if (tokens->chat_template)
    text = with_member(text, "chat_template", *tokens->chat_template);
  return files;
}

SideFiles side_files(const config::Deck& deck, const ModelDescription& model) {
  return side_files(model.text, weights_dtype(deck.model, *model.config),
                    tokenizer_origin(deck));
}

}  // namespace mtrain::train
