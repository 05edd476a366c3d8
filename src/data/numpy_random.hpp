// The two random generators of numpy that decide orders in LLaMA-Factory's data pipeline.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtrain::data {

/// numpy's legacy generator (np.random.seed): MT19937.
class LegacyRandom {
 public:
  explicit LegacyRandom(uint32_t seed);

  /// np.random.permutation(n).
  std::vector<int64_t> permutation(int64_t n);
  /// np.random.choice(n, count): with replacement.
  std::vector<int64_t> choice(int64_t n, int64_t count);

 private:
  uint32_t next();

  static constexpr size_t kWords = 624;
  std::array<uint32_t, kWords> state_;
  size_t used_ = kWords;
};

/// numpy's np.random.default_rng(seed): PCG64, seeded through SeedSequence.
class Pcg64 {
 public:
  explicit Pcg64(uint64_t seed);

  /// Generator.random(): uniform in [0, 1).
  double uniform();
  /// Generator.permutation(n).
  std::vector<int64_t> permutation(int64_t n);
  /// One draw of Generator.choice(k, p=...); `cumulative` as cumulative() gives it.
  size_t choice(const std::vector<double>& cumulative);
  /// Running sums of `probabilities`, divided by the last.
  static std::vector<double> cumulative(const std::vector<double>& probabilities);

 private:
  __extension__ using Wide = unsigned __int128;

  void step();
  uint64_t next();
  uint32_t next_half();

  Wide state_ = 0;
  Wide increment_ = 0;
  uint32_t half_ = 0;  ///< upper half of the last draw, used by the next one
  bool has_half_ = false;
};

}  // namespace mtrain::data
