// Owns the reading of tokenizer_config.json; called by Tokenizer::load.
#include "tokenizer_config.hpp"

#include <algorithm>

#include "byte_alphabet.hpp"
#include "input_file.hpp"
#include "json_field.hpp"

namespace mtrain::data {
namespace {

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

// Only the one template every conversation uses; lists of named ones have no such.
std::optional<std::string> chat_template(const JsonField& root) {
  if (!root.has("chat_template")) return std::nullopt;
  const JsonField field = root.at("chat_template");
  if (!field.value().is_string()) field.fault("must be a text");
  return field.string();
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
  return {named_token(root, "eos_token", spec), named_token(root, "pad_token", spec),
          named_token(root, "bos_token", spec), chat_template(root)};
}

}  // namespace mtrain::data
