// The part of tokenizer_config.json that concerns ids and templates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer_file.hpp"

namespace mtrain::data {

struct TokenizerConfig {
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> bos_token;
  std::optional<std::string> unk_token;
  std::optional<std::string> chat_template;
  /// Whether the chat template is no text but several with names.
  bool named_chat_templates = false;
};

/// Reads `path`, adds to `spec` the tokens only it names, with a warning, and marks as
/// special those that have a role. UserError on contradictions, and on options that would
/// change ids and are not implemented.
TokenizerConfig read_tokenizer_config(const std::string& path, TokenizerSpec& spec);

/// Names of the files below `directory` that hold chat templates: chat_template.jinja,
/// and those in additional_chat_templates, which have names.
std::vector<std::string> chat_template_files(const std::string& directory);

/// Reads these files, which go before what tokenizer_config.json says, as in
/// transformers.
void read_chat_templates(const std::string& directory, TokenizerConfig& config);

}  // namespace mtrain::data
