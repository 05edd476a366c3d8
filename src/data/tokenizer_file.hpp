// What a tokenizer.json says, checked, in our terms.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "added_tokens.hpp"
#include "json_field.hpp"
#include "merge_table.hpp"

namespace mtrain::data {

/// Every id is below: far above any vocabulary; bounds what a bad id allocates.
inline constexpr int64_t kMaxTokenIds = 1 << 24;

struct TokenizerSpec {
  struct Entry {
    bool used = false;
    std::string bytes;  ///< what the id decodes to
  };
  std::vector<Entry> entries;  ///< by id, added tokens included
  int64_t vocabulary;          ///< tokens that are not added
  std::array<int32_t, 256> byte_ids;
  std::vector<MergeRule> merges;  ///< by rank
  std::vector<AddedToken> added;
  std::vector<std::string>
      patterns;  ///< applied one after the other, Oniguruma's dialect
  bool nfc;
  /// What the empty text becomes when special tokens are put around it.
  std::string text_of_nothing;
};

/// Reads `path`. UserError names file and place of what is malformed or not implemented.
TokenizerSpec read_tokenizer_file(const std::string& path);

/// The fields of an added token but for its id, here and in tokenizer_config.json.
AddedToken read_added_token(const JsonField& field, int32_t id);

/// Enters an id with what it decodes to; a fault of place() where it is taken.
template <class Place>
void set_entry(TokenizerSpec& spec, const Place& place, int64_t id, std::string bytes) {
  const auto index = static_cast<size_t>(id);
  if (index >= spec.entries.size()) spec.entries.resize(index + 1);
  if (spec.entries[index].used)
    place().fault(cat("has id ", id, ", which is taken already"));
  spec.entries[index] = {true, std::move(bytes)};
}

}  // namespace mtrain::data
