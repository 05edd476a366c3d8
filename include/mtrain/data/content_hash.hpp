// A hash of much data, for telling whether it changed; not against attackers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace mtrain::data {

class ContentHash {
 public:
  /// Adds a piece of data; pieces are told apart ("a", "b" is not "ab").
  void add(std::string_view bytes);
  uint64_t value() const;
  /// value() as 16 hexadecimal digits.
  std::string hex() const;

 private:
  std::array<uint64_t, 4> lanes_ = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u,
                                    0x94d049bb133111ebu, 0xd6e8feb86659fd93u};
};

}  // namespace mtrain::data
