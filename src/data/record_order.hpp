// In which order records are used: sampling, mixing of datasets, splitting off evaluation
// records.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mtrain/data/prepare.hpp"
#include "numpy_random.hpp"

namespace mtrain::data {

/// Record `row` of dataset `dataset`.
struct RowRef {
  uint32_t dataset;
  uint32_t row;
  bool operator==(const RowRef&) const = default;
};

/// The rows one dataset of `records` records contributes: num_samples of them drawn by
/// `random` (again and again where that is more), of these the first max_samples.
std::vector<uint32_t> selected_rows(int64_t records, std::optional<int64_t> num_samples,
                                    std::optional<int64_t> max_samples,
                                    LegacyRandom& random);

/// The rows of all datasets in one order; datasets[d] holds those of dataset d. Matches
/// HF's concatenate_datasets and interleave_datasets.
std::vector<RowRef> mixed_rows(const std::vector<std::vector<uint32_t>>& datasets,
                               MixStrategy strategy,
                               const std::vector<double>& probabilities, uint64_t seed);

struct Split {
  std::vector<RowRef> train;
  std::vector<RowRef> eval;
};
/// HF's train_test_split: `val_size` below 1 is a share, else a count; 0 splits nothing
/// off. UserError when nothing is left to train on.
Split split_rows(std::vector<RowRef> rows, double val_size, uint64_t seed);

}  // namespace mtrain::data
