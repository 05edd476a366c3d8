// Owns numpy's generators MT19937 and PCG64 as far as orders of records need them; called
// by the record order. Facts: M. Matsumoto and T. Nishimura (1998), M. O'Neill's PCG
// (2014, XSL-RR 128/64), and numpy's documentation of SeedSequence.
#include "numpy_random.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

std::vector<int64_t> identity(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

uint32_t limit_of(int64_t n) {
  MT_CHECK(n > 0 && n < int64_t{UINT32_MAX}, "order of ", n, " records");
  return static_cast<uint32_t>(n - 1);
}

// A number in 0..limit: draws of as many bits as it has, until one is within.
template <class Draw>
uint32_t at_most(uint32_t limit, Draw draw) {
  if (limit == 0) return 0;
  const uint32_t mask = UINT32_MAX >> std::countl_zero(limit);
  uint32_t value = draw() & mask;
  while (value > limit) value = draw() & mask;
  return value;
}

// Fisher-Yates from the end.
template <class Draw>
std::vector<int64_t> shuffled(int64_t n, Draw draw) {
  auto order = identity(n);
  for (uint32_t i = n > 0 ? limit_of(n) : 0; i > 0; --i)
    std::swap(order[i], order[at_most(i, draw)]);
  return order;
}

/// SeedSequence: spreads one integer over a pool of four words.
class SeedSequence {
 public:
  explicit SeedSequence(uint64_t seed) {
    const std::array<uint32_t, 2> words = {static_cast<uint32_t>(seed),
                                           static_cast<uint32_t>(seed >> 32)};
    for (size_t i = 0; i < pool_.size(); ++i) pool_[i] = hash(i < 2 ? words[i] : 0);
    for (size_t from = 0; from < pool_.size(); ++from)
      for (size_t to = 0; to < pool_.size(); ++to)
        if (from != to) pool_[to] = mix(pool_[to], hash(pool_[from]));
  }

  std::array<uint64_t, 4> words() const {
    std::array<uint64_t, 4> result{};
    uint32_t constant = 0x8b51f9ddu;
    for (size_t i = 0; i < 8; ++i) {
      uint32_t value = pool_[i % 4] ^ constant;
      constant *= 0x58f38dedu;
      value *= constant;
      value ^= value >> 16;
      result[i / 2] |= uint64_t{value} << (i % 2 == 0 ? 0 : 32);
    }
    return result;
  }

 private:
  uint32_t hash(uint32_t value) {
    value ^= constant_;
    constant_ *= 0x931e8875u;
    value *= constant_;
    return value ^ value >> 16;
  }
  static uint32_t mix(uint32_t x, uint32_t y) {
    const uint32_t result = x * 0xca01f9ddu - y * 0x4973f715u;
    return result ^ result >> 16;
  }

  uint32_t constant_ = 0x43b0d7e5u;
  std::array<uint32_t, 4> pool_{};
};

}  // namespace

LegacyRandom::LegacyRandom(uint32_t seed) {
  for (size_t i = 0; i < kWords; ++i) {
    state_[i] = seed;
    seed = 1812433253u * (seed ^ seed >> 30) + static_cast<uint32_t>(i + 1);
  }
}

uint32_t LegacyRandom::next() {
  constexpr size_t kShift = 397;
  if (used_ == kWords) {
    for (size_t i = 0; i < kWords; ++i) {
      const uint32_t bits =
          (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
      state_[i] = state_[(i + kShift) % kWords] ^ bits >> 1 ^
                  ((bits & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    used_ = 0;
  }
  uint32_t value = state_[used_++];
  value ^= value >> 11;
  value ^= value << 7 & 0x9d2c5680u;
  value ^= value << 15 & 0xefc60000u;
  return value ^ value >> 18;
}

std::vector<int64_t> LegacyRandom::permutation(int64_t n) {
  return shuffled(n, [this] { return next(); });
}

std::vector<int64_t> LegacyRandom::choice(int64_t n, int64_t count) {
  std::vector<int64_t> drawn(static_cast<size_t>(count));
  for (int64_t& value : drawn) value = at_most(limit_of(n), [this] { return next(); });
  return drawn;
}

Pcg64::Pcg64(uint64_t seed) {
  const auto words = SeedSequence(seed).words();
  increment_ = (Wide{words[2]} << 64 | words[3]) << 1 | 1;
  step();
  state_ += Wide{words[0]} << 64 | words[1];
  step();
}

void Pcg64::step() {
  constexpr Wide kMultiplier = Wide{0x2360ed051fc65da4u} << 64 | 0x4385df649fccf645u;
  state_ = state_ * kMultiplier + increment_;
}

uint64_t Pcg64::next() {
  step();
  const auto high = static_cast<uint64_t>(state_ >> 64);
  return std::rotr(high ^ static_cast<uint64_t>(state_), static_cast<int>(high >> 58));
}

uint32_t Pcg64::next_half() {
  if (has_half_) {
    has_half_ = false;
    return half_;
  }
  const uint64_t whole = next();
  half_ = static_cast<uint32_t>(whole >> 32);
  has_half_ = true;
  return static_cast<uint32_t>(whole);
}

double Pcg64::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

std::vector<int64_t> Pcg64::permutation(int64_t n) {
  return shuffled(n, [this] { return next_half(); });
}

size_t Pcg64::choice(const std::vector<double>& cumulative) {
  const double drawn = uniform();
  const auto found = std::upper_bound(cumulative.begin(), cumulative.end(), drawn);
  return std::min(static_cast<size_t>(found - cumulative.begin()), cumulative.size() - 1);
}

std::vector<double> Pcg64::cumulative(const std::vector<double>& probabilities) {
  std::vector<double> sums(probabilities.size());
  std::partial_sum(probabilities.begin(), probabilities.end(), sums.begin());
  const double last = sums.back();
  for (double& sum : sums) sum /= last;
  return sums;
}

}  // namespace mtrain::data
