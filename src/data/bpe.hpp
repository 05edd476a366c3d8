// Byte-pair encoding of single words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "merge_table.hpp"

namespace mtrain::data {

/// Encodes words; remembers the short ones, since few of them make up most of a text.
class Bpe {
 public:
  /// byte_ids[b] is the id of the token of the single byte b.
  Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<MergeRule>& rules);

  /// Appends the ids of `word` (any bytes): its bytes, joined by the rule of lowest rank,
  /// leftmost first, until none applies.
  void encode(std::string_view word, std::vector<int32_t>& ids);

 private:
  struct Span {
    uint32_t first;
    uint32_t count;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const {
      return std::hash<std::string_view>{}(word);
    }
  };

  void merge_short(std::string_view word, std::vector<int32_t>& ids);
  void merge_long(std::string_view word, std::vector<int32_t>& ids) const;
  void remember(std::string_view word, const int32_t* ids, size_t count);

  std::array<int32_t, 256> byte_ids_;
  MergeTable table_;
  std::unordered_map<std::string, Span, Hash, std::equal_to<>> cache_;
  std::vector<int32_t> cached_ids_;
};

}  // namespace mtrain::data
