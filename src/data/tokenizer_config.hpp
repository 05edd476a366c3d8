// The part of tokenizer_config.json that concerns ids and templates.
#pragma once

#include <optional>
#include <string>

#include "tokenizer_file.hpp"

namespace mtrain::data {

struct TokenizerConfig {
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> bos_token;
  std::optional<std::string> chat_template;
};

/// Reads `path`, checking every token it names against `spec`, and marks as special those
/// it calls special. UserError on options that would change ids and are not implemented.
TokenizerConfig read_tokenizer_config(const std::string& path, TokenizerSpec& spec);

}  // namespace mtrain::data
