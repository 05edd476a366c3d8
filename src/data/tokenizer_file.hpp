// What a tokenizer.json says, checked, in our terms.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "added_tokens.hpp"
#include "merge_table.hpp"

namespace mtrain::data {

struct TokenizerSpec {
  struct Entry {
    bool used = false;
    std::string bytes;  ///< what the id decodes to
  };
  std::vector<Entry> entries;  ///< by id, added tokens included
  std::array<int32_t, 256> byte_ids;
  std::vector<MergeRule> merges;  ///< by rank
  std::vector<AddedToken> added;
  std::vector<std::string>
      patterns;  ///< applied one after the other, Oniguruma's dialect
  bool nfc;
};

/// Reads `path`. UserError names file and place of what is malformed or not implemented.
TokenizerSpec read_tokenizer_file(const std::string& path);

}  // namespace mtrain::data
