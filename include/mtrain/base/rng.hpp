// Randomness as functions, not states: every value depends only on (seed, name, index),
// so any rank of any layout, and any resumed run, computes the same one.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mtrain {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
/// four random words from a 64-bit key and a 128-bit counter.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

/// 64-bit FNV-1a of the bytes of `text`; stable over machines and releases.
uint64_t hash64(std::string_view text);

/// Fills out[0..count) with elements first..first+count-1 of the standard normal stream
/// named `name` under `seed` (Box-Muller over Philox). Element i never depends on the
/// range asked for.
void normal_stream(uint64_t seed, std::string_view name, int64_t first, int64_t count,
                   float* out);

/// A pseudo-random permutation of 0..size-1, evaluated at single points in O(1) memory
/// (Feistel network with cycle walking). Sample i of epoch e = Permutation(seed, e,
/// n)(i).
class Permutation {
 public:
  Permutation(uint64_t seed, uint64_t epoch, int64_t size);
  int64_t operator()(int64_t index) const;

 private:
  uint64_t encrypt(uint64_t value) const;

  uint64_t key_;
  uint64_t epoch_;
  uint64_t size_;
  int half_bits_;
};

}  // namespace mtrain
