// Which samples share a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtrain::data {

/// Packs samples of these lengths into rows of at most `capacity` tokens: a row takes the
/// longest sample that still fits until none does, of equal lengths the last first
/// (LLaMA-Factory, processor_utils.py, greedy_knapsack). Each row lists indices into
/// `lengths`.
std::vector<std::vector<size_t>> pack_rows(const std::vector<int64_t>& lengths,
                                           int64_t capacity);

}  // namespace mtrain::data
