// Owns the way from text to ids and back: added tokens, normalization, words, byte-pair
// encoding. Called by the preparation of data, by mprep --show, and by the demo.
#include "mtrain/data/tokenizer.hpp"

#include <filesystem>
#include <unordered_map>

#include "added_tokens.hpp"
#include "bpe.hpp"
#include "byte_alphabet.hpp"
#include "input_file.hpp"
#include "mtrain/base/error.hpp"
#include "nfc.hpp"
#include "regex.hpp"
#include "tokenizer_config.hpp"
#include "tokenizer_file.hpp"
#include "utf8.hpp"

namespace mtrain::data {
namespace {

std::vector<AddedToken> tokens_with(const std::vector<AddedToken>& tokens,
                                    bool normalized) {
  std::vector<AddedToken> chosen;
  for (const auto& token : tokens)
    if (token.normalized == normalized) chosen.push_back(token);
  return chosen;
}

std::vector<AddedToken> normalized_tokens(const TokenizerSpec& spec) {
  std::vector<AddedToken> tokens = tokens_with(spec.added, true);
  Nfc nfc;
  std::string buffer;
  for (auto& token : tokens)
    if (spec.nfc) token.content = std::string(nfc.normalize(token.content, buffer));
  return tokens;
}

std::vector<Regex> compile(const TokenizerSpec& spec, const std::string& path) {
  std::vector<Regex> regexes;
  for (const auto& pattern : spec.patterns)
    regexes.emplace_back(pattern, cat(path, ": pre_tokenizer"));
  return regexes;
}

}  // namespace

struct Tokenizer::Impl {
  TokenizerSpec spec;
  TokenizerConfig config;
  AddedTokenMatcher raw_tokens;         ///< looked for in the text as given
  AddedTokenMatcher normalized_tokens;  ///< looked for in normalized text
  std::vector<Regex> regexes;
  std::unordered_map<std::string_view, int32_t> added_ids;
  std::vector<bool> special;  ///< by id
  Bpe bpe;
  Nfc nfc;
  std::string buffer;

  Impl(const std::string& path, TokenizerSpec checked, TokenizerConfig names);
  void encode_raw(std::string_view text, std::vector<int32_t>& ids);
  void encode_normalized(std::string_view text, std::vector<int32_t>& ids);
  void encode_words(std::string_view text, size_t regex, std::vector<int32_t>& ids);
};

Tokenizer::Impl::Impl(const std::string& path, TokenizerSpec checked,
                      TokenizerConfig names)
    : spec(std::move(checked)),
      config(std::move(names)),
      raw_tokens(tokens_with(spec.added, false)),
      normalized_tokens(data::normalized_tokens(spec)),
      regexes(compile(spec, path)),
      special(spec.entries.size(), false),
      bpe(spec.byte_ids, spec.merges) {
  for (const auto& token : spec.added) {
    added_ids.emplace(token.content, token.id);
    special[static_cast<size_t>(token.id)] = token.special;
  }
}

void Tokenizer::Impl::encode_raw(std::string_view text, std::vector<int32_t>& ids) {
  raw_tokens.split(text, [&](std::string_view piece, int32_t id) {
    if (id >= 0)
      ids.push_back(id);
    else
      encode_normalized(spec.nfc ? nfc.normalize(piece, buffer) : piece, ids);
  });
}

void Tokenizer::Impl::encode_normalized(std::string_view text,
                                        std::vector<int32_t>& ids) {
  if (normalized_tokens.empty()) return encode_words(text, 0, ids);
  normalized_tokens.split(text, [&](std::string_view piece, int32_t id) {
    if (id >= 0)
      ids.push_back(id);
    else
      encode_words(piece, 0, ids);
  });
}

// Matches of a pattern are words, and so is what lies between them; the next pattern cuts
// further.
void Tokenizer::Impl::encode_words(std::string_view text, size_t regex,
                                   std::vector<int32_t>& ids) {
  if (regex == regexes.size()) return bpe.encode(text, ids);
  size_t at = 0;
  Regex::Match match{};
  while (at < text.size() && regexes[regex].find(text, at, match)) {
    if (match.begin > at) encode_words(text.substr(at, match.begin - at), regex + 1, ids);
    encode_words(text.substr(match.begin, match.end - match.begin), regex + 1, ids);
    at = match.end;
  }
  if (at < text.size()) encode_words(text.substr(at), regex + 1, ids);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::string& directory) {
  const std::filesystem::path folder(directory);
  const auto config = folder / "tokenizer_config.json";
  Tokenizer tokenizer = load((folder / "tokenizer.json").string(),
                             std::filesystem::exists(config) ? config.string() : "");
  read_chat_templates(directory, tokenizer.impl_->config);
  return tokenizer;
}

Tokenizer Tokenizer::load(const std::string& tokenizer_path,
                          const std::string& config_path) {
  TokenizerSpec spec = read_tokenizer_file(tokenizer_path);
  TokenizerConfig config;
  if (!config_path.empty()) config = read_tokenizer_config(config_path, spec);
  return Tokenizer(
      std::make_unique<Impl>(tokenizer_path, std::move(spec), std::move(config)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode_append(text, ids);
  return ids;
}

void Tokenizer::encode_append(std::string_view text, std::vector<int32_t>& ids) const {
  const size_t invalid = invalid_utf8(text);
  if (invalid != text.size())
    throw UserError(cat("text is not valid UTF-8: byte ", invalid, " (value ",
                        static_cast<int>(static_cast<unsigned char>(text[invalid])),
                        ") of ", text.size()),
                    "convert the file to UTF-8");
  impl_->encode_raw(text, ids);
}

bool Tokenizer::holds_special(std::string_view text) const {
  for (const auto* matcher : {&impl_->raw_tokens, &impl_->normalized_tokens})
    for (size_t at = 0; at < text.size(); ++at) {
      const AddedToken* token = matcher->longest_at(text, at);
      if (token && token->special) return true;
    }
  return false;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    const auto index = static_cast<size_t>(id);
    if (id < 0 || index >= impl_->spec.entries.size() || !impl_->spec.entries[index].used)
      throw UserError(cat("token id ", id, " is not in the tokenizer"));
    if (special == SpecialTokens::kSkip && impl_->special[index]) continue;
    bytes += impl_->spec.entries[index].bytes;
  }
  return repair_utf8(bytes);
}

std::optional<int32_t> Tokenizer::token_id(std::string_view token) const {
  const auto added = impl_->added_ids.find(token);
  if (added != impl_->added_ids.end()) return added->second;
  if (invalid_utf8(token) != token.size()) return std::nullopt;
  const std::string bytes = bytes_of_spelling(token);
  const auto& entries = impl_->spec.entries;
  for (size_t id = 0; id < entries.size(); ++id)
    if (entries[id].used && entries[id].bytes == bytes) return static_cast<int32_t>(id);
  return std::nullopt;
}

int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(impl_->spec.entries.size());
}

const std::optional<std::string>& Tokenizer::eos_token() const {
  return impl_->config.eos_token;
}
const std::optional<std::string>& Tokenizer::pad_token() const {
  return impl_->config.pad_token;
}
const std::optional<std::string>& Tokenizer::bos_token() const {
  return impl_->config.bos_token;
}
const std::string& Tokenizer::text_of_nothing() const {
  return impl_->spec.text_of_nothing;
}
const std::optional<std::string>& Tokenizer::unk_token() const {
  return impl_->config.unk_token;
}
const std::optional<std::string>& Tokenizer::chat_template() const {
  return impl_->config.chat_template;
}
bool Tokenizer::has_named_chat_templates() const {
  return impl_->config.named_chat_templates;
}

}  // namespace mtrain::data
