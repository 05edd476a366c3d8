// Owns the table of merges; filled once when a tokenizer loads, read by bpe.cpp.
#include "merge_table.hpp"

#include <bit>

namespace mtrain::data {

MergeTable::MergeTable(const std::vector<MergeRule>& rules)
    : entries_(std::bit_ceil(2 * rules.size() + 2), Entry{kFree, {kNoMerge, -1}}),
      mask_(entries_.size() - 1) {
  for (size_t rank = 0; rank < rules.size(); ++rank) {
    const uint64_t key = pack(rules[rank].left, rules[rank].right);
    size_t slot = slot_of(key);
    while (entries_[slot].key != kFree && entries_[slot].key != key)
      slot = (slot + 1) & mask_;
    entries_[slot] = {key, {static_cast<int32_t>(rank), rules[rank].result}};
  }
}

}  // namespace mtrain::data
