// Owns the merge loop of byte-pair encoding and its word cache; called by the tokenizer
// once per word of a text.
#include "bpe.hpp"

#include <algorithm>
#include <queue>

namespace mtrain::data {
namespace {

constexpr size_t kShortWord = 64;   // above, scanning all pairs per merge loses to a heap
constexpr size_t kCachedWord = 32;  // longer words rarely come twice
constexpr size_t kCacheEntries = 1 << 17;

// A pair of neighbours waiting to be joined.
struct Candidate {
  int32_t rank;
  int32_t left;  ///< index of the left symbol
  int32_t id;    ///< what joining gives: tells stale candidates apart
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

struct Symbol {
  int32_t id;
  int32_t previous;
  int32_t next;  ///< -1 at the end
};

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<MergeRule>& rules)
    : byte_ids_(byte_ids), table_(rules) {}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > kShortWord) return merge_long(word, ids);
  if (word.size() > kCachedWord) return merge_short(word, ids);
  const auto found = cache_.find(word);
  if (found != cache_.end()) {
    const int32_t* first = cached_ids_.data() + found->second.first;
    ids.insert(ids.end(), first, first + found->second.count);
    return;
  }
  const size_t before = ids.size();
  merge_short(word, ids);
  remember(word, ids.data() + before, ids.size() - before);
}

void Bpe::remember(std::string_view word, const int32_t* ids, size_t count) {
  if (cache_.size() >= kCacheEntries) {
    cache_.clear();
    cached_ids_.clear();
  }
  cache_.emplace(word, Span{static_cast<uint32_t>(cached_ids_.size()),
                            static_cast<uint32_t>(count)});
  cached_ids_.insert(cached_ids_.end(), ids, ids + count);
}

// Keeps the merge of each neighbouring pair in an array and takes the smallest rank each
// time.
void Bpe::merge_short(std::string_view word, std::vector<int32_t>& ids) {
  std::array<int32_t, kShortWord> symbols;
  std::array<MergeResult, kShortWord> merges;
  size_t count = word.size();
  for (size_t i = 0; i < count; ++i)
    symbols[i] = byte_ids_[static_cast<unsigned char>(word[i])];
  for (size_t i = 0; i + 1 < count; ++i)
    merges[i] = table_.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    const auto end = merges.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    const auto best = std::min_element(
        merges.begin(), end,
        [](const MergeResult& a, const MergeResult& b) { return a.rank < b.rank; });
    if (best->rank == kNoMerge) break;
    const auto i = static_cast<size_t>(best - merges.begin());
    symbols[i] = best->id;
    std::copy(symbols.begin() + i + 2, symbols.begin() + count, symbols.begin() + i + 1);
    std::copy(best + 1, end, best);
    --count;
    if (i > 0) merges[i - 1] = table_.find(symbols[i - 1], symbols[i]);
    if (i + 1 < count) merges[i] = table_.find(symbols[i], symbols[i + 1]);
  }
  ids.insert(ids.end(), symbols.begin(),
             symbols.begin() + static_cast<std::ptrdiff_t>(count));
}

// A heap of candidates over a linked list of symbols: n log n for words of any length.
void Bpe::merge_long(std::string_view word, std::vector<int32_t>& ids) const {
  const auto size = static_cast<int32_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto propose = [&](int32_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return;
    const Symbol& symbol = symbols[static_cast<size_t>(left)];
    const auto merge =
        table_.find(symbol.id, symbols[static_cast<size_t>(symbol.next)].id);
    if (merge.rank != kNoMerge) candidates.push({merge.rank, left, merge.id});
  };
  for (int32_t i = 0; i < size; ++i)
    symbols[static_cast<size_t>(i)] = {
        byte_ids_[static_cast<unsigned char>(word[static_cast<size_t>(i)])], i - 1,
        i + 1 < size ? i + 1 : -1};
  for (int32_t i = 0; i + 1 < size; ++i) propose(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (table_.find(left.id, right.id).rank != best.rank) continue;
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.left;
    propose(left.previous);
    propose(best.left);
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    ids.push_back(symbols[static_cast<size_t>(i)].id);
}

}  // namespace mtrain::data
