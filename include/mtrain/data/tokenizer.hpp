// Text to token ids and back: byte-level BPE as described by a Hugging Face
// tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data {

/// Whether decode() leaves out tokens marked special.
enum class SpecialTokens { kKeep, kSkip };

/// Not thread-safe (it caches words); copies of a loaded tokenizer are not needed, load
/// another.
class Tokenizer {
 public:
  /// Reads tokenizer.json and, where present, tokenizer_config.json of `directory` (only
  /// the token names in it). UserError names file and place of anything malformed, and by
  /// name anything that is not implemented.
  static Tokenizer load(const std::string& directory);
  /// The same from two files; `config_path` may be "" for none.
  static Tokenizer load(const std::string& tokenizer_path,
                        const std::string& config_path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids of `text`, with added tokens recognised anywhere in it; the same ids as
  /// transformers' tokenizer(text). UserError when `text` is not valid UTF-8.
  std::vector<int32_t> encode(std::string_view text) const;
  /// The same, appended to `ids`.
  void encode_append(std::string_view text, std::vector<int32_t>& ids) const;

  /// Whether a token marked special, such as <|im_end|>, is written in `text`.
  bool holds_special(std::string_view text) const;

  /// Text of `ids`; bytes that are no valid UTF-8 become U+FFFD. UserError on an unknown
  /// id.
  std::string decode(std::span<const int32_t> ids, SpecialTokens special) const;

  /// Id of a whole token (added, or of the vocabulary in its file spelling).
  std::optional<int32_t> token_id(std::string_view token) const;
  /// Every id is below this.
  int32_t vocab_size() const;

  /// Token names of tokenizer_config.json; nothing where absent or null.
  const std::optional<std::string>& eos_token() const;
  const std::optional<std::string>& pad_token() const;
  const std::optional<std::string>& bos_token() const;
  const std::optional<std::string>& unk_token() const;
  /// What the empty text becomes when special tokens are put around it, such as
  /// "<|begin_of_text|>"; "" for most.
  const std::string& text_of_nothing() const;
  /// The chat template (Jinja) of chat_template.jinja or tokenizer_config.json; nothing
  /// where there is none.
  const std::optional<std::string>& chat_template() const;
  /// Whether there are several instead, told apart by their names.
  bool has_named_chat_templates() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtrain::data
