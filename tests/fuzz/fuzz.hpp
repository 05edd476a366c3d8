// Damaged input for parsers, the same in every run: what a parser says about it must be a
// UserError. `MTRAIN_FUZZ_ROUNDS=100000 PROGRAM` goes on for longer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mtrain/base/rng.hpp"
#include "targets.hpp"

namespace mtrain::test {

/// A stream of pseudo-random numbers, equal in every run.
class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}
  size_t below(size_t limit) { return philox(seed_, count_++, 0)[0] % limit; }

 private:
  uint64_t seed_;
  uint64_t count_ = 0;
};

/// One to a few changes of a text: bytes flipped, replaced, inserted, left out, repeated
/// or moved, its end cut off, numbers made extreme, pieces of other texts put in.
std::string damaged(const std::string& text, const std::vector<std::string>& others,
                    Dice& dice);

/// Calls `parse` with each text, which must pass, then with damaged forms, `rounds` in
/// all. A check fails where it throws anything but UserError, takes longer than 20
/// seconds or holds more memory than kMemoryBase and kMemoryFactor allow, and names the
/// round.
void fuzz(const std::vector<std::string>& texts, int rounds,
          const std::function<void(const std::string& bytes)>& parse);

/// The same for the target of this name.
void fuzz(const std::string& target, int rounds);

}  // namespace mtrain::test
