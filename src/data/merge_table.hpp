// Merges of a byte-level BPE, keyed by the pair of ids they join.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtrain::data {

struct MergeRule {
  int32_t left;
  int32_t right;
  int32_t result;
};

/// What joining two neighbours gives: lower ranks are joined first.
struct MergeResult {
  int32_t rank;
  int32_t id;
};
inline constexpr int32_t kNoMerge =
    INT32_MAX;  ///< the rank of pairs that are never joined

/// A flat hash table with linear probing, at most half full.
class MergeTable {
 public:
  /// The rank of a rule is its place; of two rules for a pair the later one counts.
  explicit MergeTable(const std::vector<MergeRule>& rules);

  MergeResult find(int32_t left, int32_t right) const {
    const uint64_t key = pack(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      const Entry& entry = entries_[slot];
      if (entry.key == key) return entry.result;
      if (entry.key == kFree) return {kNoMerge, -1};
    }
  }

 private:
  struct Entry {
    uint64_t key;
    MergeResult result;
  };
  static constexpr uint64_t kFree = UINT64_MAX;  // no pair of ids packs to it

  static uint64_t pack(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
           static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & mask_;
  }

  std::vector<Entry> entries_;
  size_t mask_;
};

}  // namespace mtrain::data
