// UTF-8: validity, repair, encoding.
#pragma once

#include <string>
#include <string_view>

namespace mtrain {

/// Position of the first byte that is no part of valid UTF-8; text.size() when all is
/// valid.
size_t invalid_utf8(std::string_view text);

/// `bytes` with each maximal part of an invalid sequence replaced by U+FFFD (Unicode
/// standard, chapter 3.9, table 3-11), as Python and Rust do.
std::string repair_utf8(std::string_view bytes);

/// Appends a code point up to U+10FFFF; half of a surrogate pair becomes the three bytes
/// of its own number, which are not valid.
void append_code_point(char32_t point, std::string& text);

}  // namespace mtrain
