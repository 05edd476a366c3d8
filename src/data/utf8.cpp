// Owns UTF-8 decoding and the character classes of added tokens; called all over the
// tokenizer.
#include "utf8.hpp"

#include <utf8proc.h>

#include <cstdint>
#include <cstring>

namespace mtrain::data {
namespace {

struct Step {
  size_t length;  ///< bytes consumed: of the character, or of the invalid part
  bool valid;
};

bool continuation(std::string_view text, size_t at, unsigned low, unsigned high) {
  if (at >= text.size()) return false;
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte >= low && byte <= high;
}

// The well-formed sequences of Unicode 15, table 3-7. The second byte's range excludes
// overlong forms, surrogates and what is above U+10FFFF.
Step step(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (!continuation(text, at + 1, low, high)) return {1, false};
  for (size_t i = 2; i < length; ++i)
    if (!continuation(text, at + i, 0x80, 0xbf)) return {i, false};
  return {length, true};
}

bool eight_ascii(std::string_view text, size_t at) {
  if (at + 8 > text.size()) return false;
  uint64_t word = 0;
  std::memcpy(&word, text.data() + at, 8);
  return (word & 0x8080808080808080u) == 0;
}

}  // namespace

size_t invalid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (eight_ascii(text, at)) {
      at += 8;
      continue;
    }
    const Step next = step(text, at);
    if (!next.valid) return at;
    at += next.length;
  }
  return at;
}

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&] { return static_cast<unsigned char>(text[at++]); };
  const char32_t lead = byte();
  if (lead < 0x80) return lead;
  const int more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  char32_t point = lead & (0x3fu >> more);
  for (int i = 0; i < more; ++i) point = point << 6 | (byte() & 0x3fu);
  return point;
}

char32_t code_point_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) --at;
  return next_code_point(text, at);
}

void append_code_point(char32_t point, std::string& text) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

std::string repair_utf8(std::string_view bytes) {
  const size_t first = invalid_utf8(bytes);
  std::string text(bytes.substr(0, first));
  for (size_t at = first; at < bytes.size();) {
    const Step next = step(bytes, at);
    if (next.valid)
      text.append(bytes.substr(at, next.length));
    else
      text.append("\xef\xbf\xbd");
    at += next.length;
  }
  return text;
}

bool is_space(char32_t point) {
  return (point >= 0x09 && point <= 0x0d) || point == 0x20 || point == 0x85 ||
         point == 0xa0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200a) ||
         point == 0x2028 || point == 0x2029 || point == 0x202f || point == 0x205f ||
         point == 0x3000;
}

bool is_word(char32_t point) {
  if (point == 0x200c || point == 0x200d) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

}  // namespace mtrain::data
