// Code points of UTF-8 and the classes of characters.
#pragma once

#include <string_view>

#include "mtrain/base/utf8.hpp"

namespace mtrain::data {

/// The code point at `at` in valid UTF-8; moves `at` behind it.
char32_t next_code_point(std::string_view text, size_t& at);

/// The code point that ends at `end` > 0 in valid UTF-8.
char32_t code_point_before(std::string_view text, size_t end);

/// Members of Unicode's White_Space.
bool is_space(char32_t point);

/// Letters, marks, decimal and letter numbers, connectors and joiners: what a regular
/// expression's \w matches.
bool is_word(char32_t point);

}  // namespace mtrain::data
