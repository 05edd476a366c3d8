// Owns the hash of contents: four independent lanes of multiply-and-shift, so that
// gigabytes take a fraction of a second. Used by the source hash and the part files.
#include "mtrain/data/content_hash.hpp"

#include <bit>
#include <cstdio>
#include <cstring>

namespace mtrain::data {
namespace {

constexpr uint64_t kPrime = 0x9fb21c651e98df25u;

uint64_t absorb(uint64_t lane, uint64_t word) {
  return std::rotl((lane ^ word) * kPrime, 29);
}

uint64_t finish(uint64_t value) {
  value ^= value >> 32;
  value *= kPrime;
  return value ^ value >> 29;
}

}  // namespace

void ContentHash::add(std::string_view bytes) {
  constexpr size_t kBlock = 32;
  const char* at = bytes.data();
  size_t left = bytes.size();
  std::array<uint64_t, 4> words{};
  const auto take = [&] {
    for (size_t i = 0; i < 4; ++i) lanes_[i] = absorb(lanes_[i], words[i]);
  };
  for (; left >= kBlock; left -= kBlock, at += kBlock) {
    std::memcpy(words.data(), at, kBlock);
    take();
  }
  words = {};
  if (left > 0) std::memcpy(words.data(), at, left);
  take();
  words = {bytes.size(), lanes_[0], lanes_[1], lanes_[2]};
  take();
}

uint64_t ContentHash::value() const {
  uint64_t value = 0;
  for (const uint64_t lane : lanes_) value = finish(value ^ lane);
  return value;
}

std::string ContentHash::hex() const {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value()));
  return text;
}

}  // namespace mtrain::data
