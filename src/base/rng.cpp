// Counter-based random numbers for initialisation (models) and sample order (data).
#include "mtrain/base/rng.hpp"

#include <cmath>
#include <numbers>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

struct Product {
  uint32_t high, low;
};

Product multiply(uint32_t a, uint32_t b) {
  const uint64_t product = static_cast<uint64_t>(a) * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

/// Two standard normals from two words; the first word is moved off zero so the logarithm
/// exists.
std::array<float, 2> box_muller(uint32_t a, uint32_t b) {
  const double u = (static_cast<double>(a) + 0.5) * 0x1p-32;
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(b) * 0x1p-32;
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {static_cast<float>(radius * std::cos(angle)),
          static_cast<float>(radius * std::sin(angle))};
}

std::array<float, 4> normals_at(uint64_t seed, uint64_t stream, uint64_t block) {
  const auto words = philox(seed, block, stream);
  const auto first = box_muller(words[0], words[1]);
  const auto second = box_muller(words[2], words[3]);
  return {first[0], first[1], second[0], second[1]};
}

}  // namespace

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low,
                               uint64_t counter_high) {
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
      static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(0xD2511F53u, c[0]), b = multiply(0xCD9E8D57u, c[2]);
    c = {b.high ^ c[1] ^ k0, b.low, a.high ^ c[3] ^ k1, a.low};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

uint64_t hash64(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char byte : text) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ull;
  }
  return hash;
}

void normal_stream(uint64_t seed, std::string_view name, int64_t first, int64_t count,
                   float* out) {
  const uint64_t stream = hash64(name);
  int64_t index = first;
  while (index < first + count) {
    const auto block = normals_at(seed, stream, static_cast<uint64_t>(index / 4));
    for (int64_t lane = index % 4; lane < 4 && index < first + count; ++lane, ++index) {
      *out++ = block[static_cast<size_t>(lane)];
    }
  }
}

Permutation::Permutation(uint64_t seed, uint64_t epoch, int64_t size)
    : key_(seed), epoch_(epoch), size_(static_cast<uint64_t>(size)), half_bits_(1) {
  MT_CHECK(size > 0, "a permutation needs at least one element, not ", size);
  while ((uint64_t{1} << (2 * half_bits_)) < size_) ++half_bits_;
}

uint64_t Permutation::encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (uint64_t round = 0; round < 6; ++round) {
    const auto words = philox(key_, right | (round << 56), epoch_);
    const uint64_t mixed =
        (left ^ words[0] ^ (static_cast<uint64_t>(words[1]) << 32)) & mask;
    left = right;
    right = mixed;
  }
  return (left << half_bits_) | right;
}

int64_t Permutation::operator()(int64_t index) const {
  MT_CHECK(index >= 0 && static_cast<uint64_t>(index) < size_, "index ", index,
           " outside a permutation of ", size_);
  uint64_t value = encrypt(static_cast<uint64_t>(index));
  while (value >= size_) value = encrypt(value);
  return static_cast<int64_t>(value);
}

}  // namespace mtrain
