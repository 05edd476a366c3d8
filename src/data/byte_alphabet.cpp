// Owns the byte-level alphabet: printable Latin-1 characters spell themselves, the other
// 68 bytes are spelled U+0100 and up, in order (openai/gpt-2, encoder.py). Called when
// tokenizers load.
#include "byte_alphabet.hpp"

#include <array>

#include "utf8.hpp"

namespace mtrain::data {
namespace {

constexpr int kCodePoints = 256 + 68;

constexpr bool spells_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

constexpr std::array<char32_t, 256> make_spellings() {
  std::array<char32_t, 256> spellings{};
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    spellings[static_cast<size_t>(byte)] =
        spells_itself(byte) ? static_cast<char32_t>(byte) : next++;
  return spellings;
}

constexpr auto kSpellings = make_spellings();

constexpr std::array<int, kCodePoints> make_bytes() {
  std::array<int, kCodePoints> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte)
    bytes[kSpellings[static_cast<size_t>(byte)]] = byte;
  return bytes;
}

constexpr auto kBytes = make_bytes();

}  // namespace

std::string bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (size_t at = 0; at < spelling.size();) {
    const char32_t point = next_code_point(spelling, at);
    if (point >= kCodePoints || kBytes[point] < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(kBytes[point]));
  }
  return bytes;
}

std::string spelling_of_byte(unsigned char byte) {
  std::string spelling;
  append_code_point(kSpellings[byte], spelling);
  return spelling;
}

}  // namespace mtrain::data
