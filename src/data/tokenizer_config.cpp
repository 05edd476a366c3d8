// Owns the reading of tokenizer_config.json; called by Tokenizer::load.
#include "tokenizer_config.hpp"

#include <algorithm>
#include <filesystem>

#include "byte_alphabet.hpp"
#include "input_file.hpp"
#include "json_field.hpp"

namespace mtrain::data {
namespace {

constexpr const char* kSingle = "chat_template.jinja";

AddedToken* find_added(TokenizerSpec& spec, const std::string& content) {
  const auto found = std::find_if(spec.added.begin(), spec.added.end(),
                                  [&](const auto& t) { return t.content == content; });
  return found == spec.added.end() ? nullptr : &*found;
}

bool in_vocabulary(const TokenizerSpec& spec, const std::string& spelling) {
  const std::string bytes = bytes_of_spelling(spelling);
  return std::any_of(spec.entries.begin(), spec.entries.end(),
                     [&](const auto& e) { return e.used && e.bytes == bytes; });
}

// A token is written as a string, or as an object with its content.
std::string token_name(const JsonField& field) {
  return field.value().is_object() ? field.at("content").string() : field.string();
}

std::optional<std::string> named_token(const JsonField& root, const char* key,
                                       TokenizerSpec& spec) {
  if (!root.has(key)) return std::nullopt;
  const JsonField field = root.at(key);
  const std::string name = token_name(field);
  AddedToken* token = find_added(spec, name);
  if (token)
    token->special = true;
  else if (!in_vocabulary(spec, name))
    field.fault(cat("names '", name, "', which tokenizer.json lacks"));
  return name;
}

void check_added_tokens(const JsonField& entries, TokenizerSpec& spec) {
  for (const auto& [id, value] : entries.object().items()) {
    const JsonField entry(value, cat(entries.place(), "[\"", id, "\"]"));
    const AddedToken* token = find_added(spec, entry.at("content").string());
    if (!token || std::to_string(token->id) != id)
      entry.fault("is not the same in tokenizer.json");
  }
}

void refuse_flag(const JsonField& root, const char* key) {
  if (root.flag(key, false)) root.at(key).fault("is not supported: it must be false");
}

// A text, or several by their names, which transformers tells apart; neither is looked at
// where the deck names a template.
void read_chat_template(const JsonField& root, TokenizerConfig& config) {
  if (!root.has("chat_template")) return;
  const Json& value = root.at("chat_template").value();
  if (value.is_string())
    config.chat_template = value.get<std::string>();
  else
    config.named_chat_templates = true;
}

// Only its name is wanted, by chat templates.
std::optional<std::string> unknown_token(const JsonField& root) {
  return root.has("unk_token") ? std::optional(token_name(root.at("unk_token")))
                               : std::nullopt;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::string& path, TokenizerSpec& spec) {
  const Json json = parse_json(read_input(path), path);
  if (!json.is_object()) throw UserError(cat(path, ": must hold a JSON object"));
  const JsonField root(json, cat(path, ": "));
  for (const char* key :
       {"add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens"})
    refuse_flag(root, key);
  if (root.has("added_tokens_decoder"))
    check_added_tokens(root.at("added_tokens_decoder"), spec);
  if (root.has("additional_special_tokens")) {
    const JsonField list = root.at("additional_special_tokens");
    for (size_t i = 0; i < list.array().size(); ++i) {
      AddedToken* token = find_added(spec, token_name(list.at(i)));
      if (!token) list.at(i).fault("is not among the added tokens of tokenizer.json");
      token->special = true;
    }
  }
  TokenizerConfig config;
  config.eos_token = named_token(root, "eos_token", spec);
  config.pad_token = named_token(root, "pad_token", spec);
  config.bos_token = named_token(root, "bos_token", spec);
  config.unk_token = unknown_token(root);
  read_chat_template(root, config);
  return config;
}

std::vector<std::string> chat_template_files(const std::string& directory) {
  namespace fs = std::filesystem;
  constexpr const char* kMore = "additional_chat_templates";
  std::vector<std::string> names;
  if (fs::exists(fs::path(directory) / kSingle)) names.push_back(kSingle);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(fs::path(directory) / kMore, none))
    if (entry.path().extension() == ".jinja")
      names.push_back(kMore + ("/" + entry.path().filename().string()));
  std::sort(names.begin(), names.end());
  return names;
}

void read_chat_templates(const std::string& directory, TokenizerConfig& config) {
  const std::vector<std::string> names = chat_template_files(directory);
  if (names.empty()) return;
  config.named_chat_templates = names != std::vector<std::string>{kSingle};
  config.chat_template.reset();
  if (!config.named_chat_templates)
    config.chat_template =
        read_input((std::filesystem::path(directory) / kSingle).string());
}

}  // namespace mtrain::data
