// Owns the balanced sharing of a step's rows; called by the batch loader.
#include "mtrain/data/balance.hpp"

#include <algorithm>
#include <numeric>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

struct MicroBatch {
  std::vector<int64_t> rows;
  double time = 0;
  int64_t tokens = 0;
};

/// Indices by falling `time`, of equal ones the first first.
template <class Time>
std::vector<int64_t> longest_first(size_t count, Time time) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return time(static_cast<size_t>(a)) > time(static_cast<size_t>(b));
  });
  return order;
}

/// Whether `a` is the better place for a row.
bool before(const MicroBatch& a, const MicroBatch& b) {
  const bool a_empty = a.rows.empty(), b_empty = b.rows.empty();
  return a_empty != b_empty ? a_empty : a.time < b.time;
}

std::vector<MicroBatch> filled(const std::vector<RowCost>& rows, const StepShape& shape) {
  std::vector<MicroBatch> all(static_cast<size_t>(shape.micro_batches * shape.dp_size));
  for (const int64_t i :
       longest_first(rows.size(), [&](size_t r) { return rows[r].time; })) {
    const RowCost& row = rows[static_cast<size_t>(i)];
    MicroBatch* place = nullptr;
    for (MicroBatch& batch : all) {
      const bool fits = batch.tokens + row.tokens <= shape.most_tokens;
      if (fits && (!place || before(batch, *place))) place = &batch;
    }
    MT_CHECK(place, "no micro-batch has room for a row of ", row.tokens, " tokens");
    place->rows.push_back(i);
    place->time += row.time;
    place->tokens += row.tokens;
  }
  return all;
}

}  // namespace

std::vector<std::vector<int64_t>> balanced_micro_batches(const std::vector<RowCost>& rows,
                                                         const StepShape& shape) {
  std::vector<MicroBatch> batches = filled(rows, shape);
  const auto order =
      longest_first(batches.size(), [&](size_t b) { return batches[b].time; });
  const auto dp = static_cast<size_t>(shape.dp_size);
  std::vector<std::vector<int64_t>> shared(batches.size());
  std::vector<double> busy(dp, 0);
  for (size_t first = 0; first < order.size(); first += dp) {
    const auto idle_first = longest_first(dp, [&](size_t r) { return -busy[r]; });
    for (size_t i = 0; i < dp; ++i) {
      MicroBatch& batch = batches[static_cast<size_t>(order[first + i])];
      const auto rank = static_cast<size_t>(idle_first[i]);
      busy[rank] += batch.time;
      std::ranges::sort(batch.rows);
      shared[first + rank] = std::move(batch.rows);
    }
  }
  return shared;
}

}  // namespace mtrain::data
