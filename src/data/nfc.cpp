// Owns normalization to form C with a fast path; called by the tokenizer on every text.
#include "nfc.hpp"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "mtrain/base/error.hpp"
#include "utf8.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kCodePoints = 0x110000;
constexpr char32_t kFirstAffected =
    0x300;  // everything below is inert (the "quick check" bound)
enum Known : uint8_t { kUnknown, kInert, kAffected };

std::string compose_part(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, std::free);
  MT_CHECK(size >= 0, utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
}

// utf8proc swallows U+11A7 behind a Hangul syllable, mistaking it for an empty final. It
// composes with nothing, so the parts around it are composed one by one.
std::string compose(std::string_view text) {
  constexpr std::string_view kNoFinal = "\xe1\x86\xa7";
  std::string composed;
  for (size_t at = text.find(kNoFinal); at != text.npos; at = text.find(kNoFinal)) {
    composed.append(compose_part(text.substr(0, at))).append(kNoFinal);
    text.remove_prefix(at + kNoFinal.size());
  }
  return composed.append(compose_part(text));
}

// A character that composes with one before it, or is reordered among marks.
bool attaches(char32_t point) {
  const bool vowel_or_final_jamo = point >= 0x1160 && point <= 0x11ff;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(point));
  const bool second =
      property->comb_index != UINT16_MAX && property->comb_index >= 0x8000;
  return vowel_or_final_jamo || second || property->combining_class != 0;
}

}  // namespace

Nfc::Nfc() : known_(kCodePoints, kUnknown) {}

bool Nfc::inert(char32_t point) {
  uint8_t& known = known_[point];
  if (known == kUnknown) {
    std::string alone;
    append_code_point(point, alone);
    known = attaches(point) || compose(alone) != alone ? kAffected : kInert;
  }
  return known == kInert;
}

std::string_view Nfc::normalize(std::string_view text, std::string& buffer) {
  for (size_t at = 0; at < text.size();) {
    const char32_t point = next_code_point(text, at);
    if (point < kFirstAffected || inert(point)) continue;
    buffer = compose(text);
    return buffer;
  }
  return text;
}

}  // namespace mtrain::data
