// Owns the validity of UTF-8; called by the readers of JSON and all over the tokenizer.
#include "mtrain/base/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace mtrain {
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

void append_code_point(char32_t point, std::string& text) {
  const auto add = [&](char32_t bits) { text += static_cast<char>(bits); };
  const auto tail = [&](int shift) { add(0x80u | (point >> shift & 0x3fu)); };
  if (point < 0x80) return add(point);
  if (point < 0x800) {
    add(0xc0u | point >> 6);
  } else if (point < 0x10000) {
    add(0xe0u | point >> 12);
    tail(6);
  } else {
    add(0xf0u | point >> 18);
    tail(12);
    tail(6);
  }
  tail(0);
}

}  // namespace mtrain
