// Owns the escapes in text literals; called by the Jinja lexer.
#include "jinja_literal.hpp"

#include <charconv>

#include "jinja_value.hpp"
#include "utf8.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr std::string_view kLetters = "\\'\"abfnrtv";
constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
constexpr size_t kOctalDigits = 3;
constexpr char32_t kFirstSurrogate = 0xd800, kLastSurrogate = 0xdfff;
constexpr char32_t kLastPoint = 0x10ffff;

void append_checked(unsigned long point, std::string& text) {
  if (point > kLastPoint || (point >= kFirstSurrogate && point <= kLastSurrogate))
    throw Fault{"has an escape that is no character"};
  append_code_point(static_cast<char32_t>(point), text);
}

// The number behind an escape letter, of exactly `digits` digits.
void append_hex(std::string_view literal, size_t& at, size_t digits, std::string& text) {
  const std::string_view code = literal.substr(at, digits);
  unsigned long point = 0;
  const auto end = std::from_chars(code.data(), code.data() + code.size(), point, 16);
  if (code.size() != digits || end.ptr != code.data() + code.size())
    throw Fault{"has an unfinished escape in a text"};
  at += digits;
  append_checked(point, text);
}

void append_octal(std::string_view literal, size_t& at, std::string& text) {
  unsigned long point = 0;
  for (size_t i = 0; i < kOctalDigits && at < literal.size() && literal[at] >= '0' &&
                     literal[at] <= '7';
       ++i)
    point = point * 8 + static_cast<unsigned long>(literal[at++] - '0');
  append_checked(point, text);
}

size_t digits_of(char letter) {
  return letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
}

}  // namespace

std::string unescaped(std::string_view literal) {
  std::string text;
  for (size_t at = 0; at < literal.size();) {
    const char c = literal[at++];
    if (c != '\\') {
      text += c;
      continue;
    }
    const char letter = literal[at];  // a literal does not end with a lone backslash
    const size_t simple = kLetters.find(letter);
    if (letter >= '0' && letter <= '7') {
      append_octal(literal, at, text);
      continue;
    }
    if (letter == 'N') throw Fault{"uses \\N escapes, which this program does not know"};
    ++at;
    if (simple != kLetters.npos)
      text += kValues[simple];
    else if (digits_of(letter) > 0)
      append_hex(literal, at, digits_of(letter), text);
    else if (letter != '\n')
      text += {'\\', letter};
  }
  return text;
}

}  // namespace mtrain::data::jinja
