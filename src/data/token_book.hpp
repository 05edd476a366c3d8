// Additions to the tokens of a tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "tokenizer_file.hpp"

namespace mtrain::data {

/// Adds tokens by the rules of huggingface/tokenizers, added_vocabulary.rs, add_tokens.
class TokenBook {
 public:
  /// Keeps a reference.
  explicit TokenBook(TokenizerSpec& spec);

  /// The added token with this content, or null. Good until the next call of add().
  AddedToken* find(const std::string& content);
  /// Adds the token, whatever its id says: a content added before takes its flags and
  /// keeps its id, one of the vocabulary has its id there, any other the next free one.
  /// Returns the id; a fault of `place` where it is none.
  int32_t add(AddedToken token, const JsonField& place);

 private:
  int32_t id_of_new(const AddedToken& token, const JsonField& place);
  std::optional<int32_t> in_vocabulary(const std::string& content);

  TokenizerSpec& spec_;
  std::unordered_map<std::string, size_t> added_;  ///< by content, index into spec_.added
  std::unordered_map<std::string, int32_t> ids_;   ///< by bytes; made when first needed
  int64_t largest_ = -1;                           ///< id of an added token
};

}  // namespace mtrain::data
