// Sharing the rows of a step so that every rank and micro-batch has about as much to do.
#pragma once

#include <cstdint>
#include <vector>

namespace mtrain::data {

/// What a row takes: time in any unit, and memory.
struct RowCost {
  double time;
  int64_t tokens;
};

/// How a step is shared, as Sampler shares it: micro_batches * dp_size micro-batches,
/// that of rank r in round m at m * dp_size + r.
struct StepShape {
  int64_t micro_batches;
  int64_t dp_size;
  /// Tokens a micro-batch holds at most; enough for the longest row times the mean number
  /// of rows.
  int64_t most_tokens;
};

/// For each micro-batch the indices of its rows, ascending; a function of the arguments
/// alone. Longest rows first, each goes to the micro-batch with least time so far that
/// has room for it (Graham, "Bounds on multiprocessing timing anomalies", 1969), so that
/// micro-batches differ in their number of rows. The ranks' micro-batches of one round
/// are those closest in time, which matters where they wait for each other, and of a
/// round the longest goes to the rank with least time so far. No micro-batch is empty
/// while there are as many rows.
std::vector<std::vector<int64_t>> balanced_micro_batches(const std::vector<RowCost>& rows,
                                                         const StepShape& shape);

}  // namespace mtrain::data
