// The balanced sharing of a step: every row once, within memory, and evener than by
// number.
#include "mtrain/data/balance.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>

#include "mtrain/base/rng.hpp"

using namespace mtrain::data;
using Shares = std::vector<std::vector<int64_t>>;

namespace {

/// Rows of 1 to 1000 tokens, most of them short, with attention's quadratic share.
std::vector<RowCost> random_rows(size_t count, uint64_t seed) {
  std::vector<RowCost> rows;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = mtrain::philox(seed, i, 0);
    const int64_t tokens = 1 + bits[0] % (1 + bits[1] % 1000);
    const auto length = static_cast<double>(tokens);
    rows.push_back({length * (500 + length), tokens});
  }
  return rows;
}

int64_t longest(const std::vector<RowCost>& rows) {
  int64_t most = 0;
  for (const RowCost& row : rows) most = std::max(most, row.tokens);
  return most;
}

std::vector<double> times(const Shares& shares, const std::vector<RowCost>& rows) {
  std::vector<double> result;
  for (const auto& share : shares) {
    result.push_back(0);
    for (const int64_t i : share) result.back() += rows[static_cast<size_t>(i)].time;
  }
  return result;
}

std::vector<double> by_rank(const std::vector<double>& times, size_t dp_size) {
  std::vector<double> result(dp_size, 0);
  for (size_t i = 0; i < times.size(); ++i) result[i % dp_size] += times[i];
  return result;
}

double spread(const std::vector<double>& times) {
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  return *std::ranges::max_element(times) * static_cast<double>(times.size()) / sum;
}

/// The same rows shared by number.
Shares in_order(size_t micro_batches, int64_t each) {
  Shares shares(micro_batches);
  int64_t next = 0;
  for (auto& share : shares)
    for (int64_t i = 0; i < each; ++i) share.push_back(next++);
  return shares;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(balance)

BOOST_AUTO_TEST_CASE(longest_rows_first_to_the_least_busy) {
  const std::vector<RowCost> rows = {{1, 1}, {9, 9}, {2, 2}, {5, 5}, {4, 4}, {3, 3}};
  // 9, 5 + 2 + 1 and 4 + 3.
  const Shares shares = balanced_micro_batches(rows, {3, 1, 18});
  BOOST_TEST((shares == Shares{{1}, {0, 2, 3}, {4, 5}}));
  // Equal sums: 9 + 3 and 5 + 4 + 2 + 1.
  const Shares two = balanced_micro_batches(rows, {1, 2, 27});
  BOOST_TEST(spread(times(two, rows)) == 1.0);
}

BOOST_AUTO_TEST_CASE(memory_bounds_a_micro_batch) {
  // By time alone all the short ones would go together.
  const std::vector<RowCost> rows = {{100, 10}, {1, 10}, {1, 10}, {1, 10}};
  for (const auto& share : balanced_micro_batches(rows, {2, 1, 20}))
    BOOST_TEST(share.size() == 2u);
}

BOOST_AUTO_TEST_CASE(every_row_once_and_evener) {
  for (const int64_t each : {1, 2, 8}) {
    for (const int64_t micro_batches : {1, 3, 8}) {
      for (const int64_t dp : {1, 2, 5}) {
        const auto count = static_cast<size_t>(micro_batches * dp);
        const auto rows = random_rows(count * static_cast<size_t>(each), count);
        const StepShape shape{micro_batches, dp, longest(rows) * each};
        const Shares shares = balanced_micro_batches(rows, shape);
        BOOST_REQUIRE(shares.size() == count);
        std::vector<int64_t> seen;
        for (const auto& share : shares) {
          BOOST_TEST(!share.empty());
          int64_t tokens = 0;
          for (const int64_t i : share) tokens += rows[static_cast<size_t>(i)].tokens;
          BOOST_TEST(tokens <= shape.most_tokens);
          seen.insert(seen.end(), share.begin(), share.end());
        }
        std::ranges::sort(seen);
        std::vector<int64_t> all(rows.size());
        std::iota(all.begin(), all.end(), 0);
        BOOST_TEST(seen == all);
        const auto mine = times(shares, rows),
                   theirs = times(in_order(count, each), rows);
        BOOST_TEST(spread(mine) <= spread(theirs) + 1e-12);
        const auto ranks = static_cast<size_t>(dp);
        BOOST_TEST(spread(by_rank(mine, ranks)) <= spread(by_rank(theirs, ranks)) + 0.1);
      }
    }
  }
}

// Ranks wait for each other in every round where experts or stages are shared.
BOOST_AUTO_TEST_CASE(a_round_holds_micro_batches_alike) {
  const auto rows = random_rows(64, 3);
  const auto all = times(balanced_micro_batches(rows, {16, 4, longest(rows)}), rows);
  for (size_t round = 4; round < all.size(); round += 4)
    BOOST_TEST(*std::max_element(&all[round], &all[round] + 4) <=
               *std::min_element(&all[round - 4], &all[round]));
}

BOOST_AUTO_TEST_SUITE_END()
