// Owns the order of records; called by the preparation. Every rule and every random draw
// is that of LLaMA-Factory with HF datasets (data/loader.py, data/data_utils.py), so
// orders are the same number by number.
#include "record_order.hpp"

#include <algorithm>
#include <cmath>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

using Datasets = std::vector<std::vector<uint32_t>>;

/// Hands out rows of the datasets and knows which have come to their end.
class Interleaver {
 public:
  explicit Interleaver(const Datasets& datasets)
      : datasets_(datasets), next_(datasets.size()), exhausted_(datasets.size()) {
    for (size_t d = 0; d < datasets.size(); ++d) exhausted_[d] = datasets[d].empty();
  }

  bool exhausted(size_t d) const { return exhausted_[d]; }
  bool any_exhausted() const {
    return std::find(exhausted_.begin(), exhausted_.end(), true) != exhausted_.end();
  }
  bool all_exhausted() const {
    return std::find(exhausted_.begin(), exhausted_.end(), false) == exhausted_.end();
  }
  // A dataset that has come to its end starts again.
  void take(size_t d) {
    rows_.push_back({static_cast<uint32_t>(d), datasets_[d][next_[d]]});
    if (++next_[d] < datasets_[d].size()) return;
    next_[d] = 0;
    exhausted_[d] = true;
  }
  std::vector<RowRef> rows() { return std::move(rows_); }

 private:
  const Datasets& datasets_;
  std::vector<size_t> next_;
  std::vector<bool> exhausted_;
  std::vector<RowRef> rows_;
};

std::vector<RowRef> concatenated(const Datasets& datasets) {
  std::vector<RowRef> rows;
  for (size_t d = 0; d < datasets.size(); ++d)
    for (const uint32_t row : datasets[d])
      rows.push_back({static_cast<uint32_t>(d), row});
  return rows;
}

std::vector<RowRef> round_robin(const Datasets& datasets, MixStrategy strategy) {
  size_t rounds = datasets[0].size();
  for (const auto& rows : datasets)
    rounds = strategy == MixStrategy::kInterleaveUnder ? std::min(rounds, rows.size())
                                                       : std::max(rounds, rows.size());
  Interleaver out(datasets);
  for (size_t round = 0; round < rounds; ++round)
    for (size_t d = 0; d < datasets.size(); ++d)
      if (strategy != MixStrategy::kInterleaveOnce || round < datasets[d].size())
        out.take(d);
  return out.rows();
}

std::vector<RowRef> drawn(const Datasets& datasets, MixStrategy strategy,
                          const std::vector<double>& probabilities, uint64_t seed) {
  Interleaver out(datasets);
  Pcg64 random(seed);
  const auto cumulative = Pcg64::cumulative(probabilities);
  const bool under = strategy == MixStrategy::kInterleaveUnder;
  while (!(under ? out.any_exhausted() : out.all_exhausted())) {
    const size_t d = random.choice(cumulative);
    if (strategy == MixStrategy::kInterleaveOnce && out.exhausted(d)) continue;
    out.take(d);
  }
  return out.rows();
}

}  // namespace

std::vector<uint32_t> selected_rows(int64_t records, std::optional<int64_t> num_samples,
                                    std::optional<int64_t> max_samples,
                                    LegacyRandom& random) {
  std::vector<int64_t> order;
  int64_t count = records;
  if (num_samples) {
    count = *num_samples;
    order = random.permutation(records);
    if (count > records) {
      const auto more = random.choice(records, count - records);
      order.insert(order.end(), more.begin(), more.end());
    }
  }
  count = std::min(count, max_samples.value_or(count));
  std::vector<uint32_t> rows(static_cast<size_t>(count));
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = static_cast<uint32_t>(order.empty() ? static_cast<int64_t>(i) : order[i]);
  return rows;
}

std::vector<RowRef> mixed_rows(const Datasets& datasets, MixStrategy strategy,
                               const std::vector<double>& probabilities, uint64_t seed) {
  if (datasets.size() < 2 || strategy == MixStrategy::kConcat)
    return concatenated(datasets);
  if (probabilities.empty()) return round_robin(datasets, strategy);
  if (probabilities.size() != datasets.size())
    throw UserError(cat("interleave_probs has ", probabilities.size(), " items for ",
                        datasets.size(), " datasets"),
                    "give one probability for each dataset");
  // A dataset that is never drawn never ends.
  if (std::find(probabilities.begin(), probabilities.end(), 0.0) != probabilities.end())
    throw UserError("interleave_probs holds a 0: that dataset would never be drawn",
                    "remove the dataset, or give it a probability");
  return drawn(datasets, strategy, probabilities, seed);
}

Split split_rows(std::vector<RowRef> rows, double val_size, uint64_t seed) {
  if (val_size <= 0) return {std::move(rows), {}};
  const auto all = static_cast<int64_t>(rows.size());
  const auto eval = static_cast<int64_t>(
      val_size < 1 ? std::ceil(static_cast<double>(all) * val_size) : val_size);
  if (eval >= all)
    throw UserError(cat("val_size = ", val_size, " takes ", eval, " of ", all,
                        " records: nothing is left to train on"),
                    "lower val_size");
  const auto order = Pcg64(seed).permutation(all);
  Split split;
  for (int64_t i = 0; i < all; ++i)
    (i < eval ? split.eval : split.train)
        .push_back(rows[static_cast<size_t>(order[static_cast<size_t>(i)])]);
  return split;
}

}  // namespace mtrain::data
