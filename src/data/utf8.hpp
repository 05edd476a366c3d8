// UTF-8: validity, code points, repair.
#pragma once

#include <string>
#include <string_view>

namespace mtrain::data {

/// Position of the first byte that is no part of valid UTF-8; text.size() when all is
/// valid.
size_t invalid_utf8(std::string_view text);

/// The code point at `at` in valid UTF-8; moves `at` behind it.
char32_t next_code_point(std::string_view text, size_t& at);

/// The code point that ends at `end` > 0 in valid UTF-8.
char32_t code_point_before(std::string_view text, size_t end);

void append_code_point(char32_t point, std::string& text);

/// `bytes` with each maximal part of an invalid sequence replaced by U+FFFD (Unicode
/// standard, chapter 3.9, table 3-11), as Python and Rust do.
std::string repair_utf8(std::string_view bytes);

/// Members of Unicode's White_Space.
bool is_space(char32_t point);

/// Letters, marks, decimal and letter numbers, connectors and joiners: what a regular
/// expression's \w matches.
bool is_word(char32_t point);

}  // namespace mtrain::data
