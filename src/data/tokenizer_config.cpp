// Owns the reading of tokenizer_config.json; called by Tokenizer::load. Tokens named
// there are added as transformers 5.8 adds them (tokenization_utils_tokenizers.py).
#include "tokenizer_config.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <map>

#include "byte_alphabet.hpp"
#include "input_file.hpp"
#include "mtrain/base/log.hpp"
#include "token_book.hpp"

namespace mtrain::data {
namespace {

// transformers' SPECIAL_TOKENS_ATTRIBUTES, in its order.
constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

constexpr const char* kSingle = "chat_template.jinja";

// A token is written as a string, or as an object with its content.
std::string token_name(const JsonField& field) {
  return field.value().is_object() ? field.at("content").string() : field.string();
}

int32_t id_in_key(const std::string& key, const JsonField& entry) {
  int32_t id = -1;
  const char* end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data(), end, id);
  if (error != std::errc() || stop != end || id < 0 || id >= kMaxTokenIds)
    entry.fault(cat("is no id within 0 and ", kMaxTokenIds - 1));
  return id;
}

// One entry of added_tokens_decoder, whose key is its id where the files agree.
void add_decoded(const JsonField& entry, int32_t id, const TokenizerSpec& spec,
                 TokenBook& book) {
  const AddedToken token = read_added_token(entry, id);
  const AddedToken* known = book.find(token.content);
  const auto index = static_cast<size_t>(id);
  const bool taken = index < spec.entries.size() && spec.entries[index].used &&
                     spec.entries[index].bytes != bytes_of_spelling(token.content);
  if (known ? known->id != id : taken) entry.fault("is not the same in tokenizer.json");
  const int32_t given = book.add(token, entry);
  if (given != id)
    log::warning(cat(entry.place(), ": '", token.content, "' becomes token ", given,
                     ", the next one that is free, as in transformers"));
}

void add_decoder(const JsonField& entries, const TokenizerSpec& spec, TokenBook& book) {
  std::map<int32_t, JsonField> sorted;
  for (const auto& [key, value] : entries.object().items()) {
    const JsonField entry(value, cat(entries.place(), "[\"", key, "\"]"));
    sorted.emplace(id_in_key(key, entry), entry);
  }
  for (const auto& [id, entry] : sorted) add_decoded(entry, id, spec, book);
}

// A token that has a role is special, and added where no file has it.
void add_special(const JsonField& field, const TokenizerSpec& spec, TokenBook& book) {
  const std::string name = token_name(field);
  if (name.empty()) return;
  if (AddedToken* known = book.find(name)) {
    known->special = true;
    return;
  }
  AddedToken token{};
  if (field.value().is_object()) {
    token = read_added_token(field, 0);
    token.normalized = field.flag("normalized", false);
  }
  token.content = name;
  token.special = true;
  const int32_t id = book.add(token, field);
  if (id >= spec.vocabulary)
    log::warning(cat(field.place(), ": '", name,
                     "' is in neither file; it becomes token ", id,
                     ", the next one that is free, as in transformers"));
}

// The roles of old, then any other NAME_token, then the lists: the order in which new
// tokens get their ids.
void add_roles(const JsonField& root, const TokenizerSpec& spec, TokenBook& book) {
  for (const char* role : kRoles)
    if (root.has(role)) add_special(root.at(role), spec, book);
  for (const auto& [key, value] : root.object().items()) {
    const bool listed =
        std::find(std::begin(kRoles), std::end(kRoles), key) != std::end(kRoles);
    if (!listed && key.ends_with("_token") && value.is_string())
      add_special(root.at(key.c_str()), spec, book);
  }
  const char* more = root.has("extra_special_tokens") ? "extra_special_tokens"
                                                      : "additional_special_tokens";
  if (!root.has(more)) return;
  const JsonField list = root.at(more);
  if (list.value().is_object()) {
    for (const auto& [key, value] : list.value().items())
      add_special(list.at(key.c_str()), spec, book);
    return;
  }
  for (size_t i = 0; i < list.array().size(); ++i) add_special(list.at(i), spec, book);
}

std::optional<std::string> named_token(const JsonField& root, const char* role) {
  if (!root.has(role) || token_name(root.at(role)).empty()) return std::nullopt;
  return token_name(root.at(role));
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

}  // namespace

// The reference switches split_special_tokens off, and transformers drops add_bos_token
// and add_eos_token where there is a tokenizer.json.
TokenizerConfig read_tokenizer_config(const std::string& path, TokenizerSpec& spec) {
  const Json json = parse_json(read_input(path), path, JsonDialect::kPython);
  if (!json.is_object()) throw UserError(cat(path, ": must hold a JSON object"));
  const JsonField root(json, cat(path, ": "));
  if (root.flag("add_prefix_space", false))
    root.at("add_prefix_space").fault("is not supported: it must be false");
  TokenBook book(spec);
  if (root.has("added_tokens_decoder"))
    add_decoder(root.at("added_tokens_decoder"), spec, book);
  add_roles(root, spec, book);
  TokenizerConfig config;
  config.eos_token = named_token(root, "eos_token");
  config.pad_token = named_token(root, "pad_token");
  config.bos_token = named_token(root, "bos_token");
  config.unk_token = named_token(root, "unk_token");
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
