// Unicode normalization form C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data {

/// Normalizes text; most text is normalized already, which a look-up per character tells.
class Nfc {
 public:
  Nfc();
  /// `text` (valid UTF-8) in form C: `text` itself where nothing changes, else a view of
  /// `buffer`.
  std::string_view normalize(std::string_view text, std::string& buffer);

 private:
  bool inert(char32_t point);

  /// Per code point: not looked at yet, inert, or not.
  std::vector<uint8_t> known_;
};

}  // namespace mtrain::data
