// Tokens of Jinja text, cut as jinja2 does it with trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data::jinja {

enum class TokenKind {
  kData,           ///< text between tags
  kBlockBegin,     ///< {%
  kBlockEnd,       ///< %}
  kVariableBegin,  ///< {{
  kVariableEnd,    ///< }}
  kName,
  kText,
  kInteger,
  kReal,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  std::string text;  ///< of a text: its value, without quotes and escapes
  int line;
};

/// The tokens of `source`, the last one kEnd. Throws Fault.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace mtrain::data::jinja
