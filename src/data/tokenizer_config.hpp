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

/// Reads `path`, adds to `spec` the tokens only it names, with a warning, and marks as
/// special those that have a role. UserError on contradictions, and on options that would
/// change ids and are not implemented.
TokenizerConfig read_tokenizer_config(const std::string& path, TokenizerSpec& spec);

}  // namespace mtrain::data
