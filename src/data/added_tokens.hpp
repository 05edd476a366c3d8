// Added tokens: whole strings that become one id wherever they stand in a text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data {

/// One entry of added_tokens, fields as in the file.
struct AddedToken {
  int32_t id;
  std::string content;
  bool single_word;
  bool lstrip;
  bool rstrip;
  bool normalized;
  bool special;
  bool operator==(const AddedToken&) const = default;
};

/// Finds a set of added tokens in texts: leftmost first, at one place the longest.
class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  /// Calls take(piece, id) for the pieces of `text` (valid UTF-8) in order; id is -1 for
  /// text between tokens. Pieces are never empty.
  void split(std::string_view text,
             const std::function<void(std::string_view, int32_t)>& take) const;
  bool empty() const { return tokens_.empty(); }
  /// The longest token that begins at byte `at`, or null.
  const AddedToken* longest_at(std::string_view text, size_t at) const;

 private:
  std::vector<AddedToken> tokens_;
  std::array<std::vector<uint32_t>, 256> by_first_byte_;  ///< longest first
};

}  // namespace mtrain::data
