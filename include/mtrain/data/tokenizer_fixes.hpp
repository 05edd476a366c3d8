// What a template changes of a tokenizer, for the files a trained model is published
// with.
#pragma once

#include <optional>
#include <string>

#include "mtrain/data/tokenizer.hpp"

namespace mtrain::data {

/// The end-of-text and padding token answers were trained with, and a chat template where
/// the tokenizer has none; as LLaMA-Factory saves them (data/template.py,
/// fix_special_tokens and fix_jinja_template).
struct TokenizerFixes {
  std::string eos_token;  ///< ends an answer: what generation must stop at
  int32_t eos_id;
  std::string pad_token;
  int32_t pad_id;
  std::optional<std::string>
      chat_template;  ///< Jinja; nothing: the tokenizer's own stays
};

/// The fixes of deck key `template` ("" for null) and `default_system`. UserError when
/// the template is not known, or the tokenizer lacks a token it needs.
TokenizerFixes tokenizer_fixes(const std::string& template_name,
                               const Tokenizer& tokenizer,
                               const std::optional<std::string>& default_system);

}  // namespace mtrain::data
