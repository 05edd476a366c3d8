// Spread of cost over the micro-batches and ranks of a store's steps, as they come and
// with balance_micro_batches: `balance_bench STORE CONFIG_JSON SAMPLES MICRO_BATCHES
// RANKS`.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

#include "mtrain/data/balance.hpp"
#include "mtrain/data/sampler.hpp"
#include "mtrain/data/token_store.hpp"
#include "mtrain/models/model.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mtrain;

/// Means over steps of the largest over the mean.
struct Spread {
  double micro_batches = 0, ranks = 0;
};

double largest_over_mean(const std::vector<double>& times) {
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  return *std::ranges::max_element(times) * static_cast<double>(times.size()) / sum;
}

void add(const std::vector<std::vector<int64_t>>& shares,
         const std::vector<data::RowCost>& rows, size_t ranks, Spread& spread) {
  std::vector<double> times, by_rank(ranks, 0);
  for (const auto& share : shares) {
    times.push_back(0);
    for (const int64_t i : share) times.back() += rows[static_cast<size_t>(i)].time;
    by_rank[(times.size() - 1) % ranks] += times.back();
  }
  spread.micro_batches += largest_over_mean(times);
  spread.ranks += largest_over_mean(by_rank);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return std::puts("see the top of balance_bench.cpp"), 2;
  const data::TokenStoreReader store(argv[1]);
  const auto config = models::parse_model_config(test::read_text(argv[2]), argv[2]);
  const int64_t samples = std::stoll(argv[3]), rounds = std::stoll(argv[4]),
                ranks = std::stoll(argv[5]);
  const data::Sampler sampler({store.num_rows(), true, 42, samples, rounds, ranks});
  const auto cost = [&](int64_t row) {
    data::RowCost sum{0, 0};
    const auto [first, last] = store.row_samples(row);
    for (int64_t i = first; i < last; ++i) {
      const auto length = static_cast<double>(store.sample_length(i) - 1);
      sum.time += length * config->flops_per_token(length);
      sum.tokens += store.sample_length(i) - 1;
    }
    return sum;
  };
  int64_t longest = 0;
  for (int64_t row = 0; row < store.num_rows(); ++row)
    longest = std::max(longest, cost(row).tokens);
  Spread before, after;
  std::vector<std::vector<int64_t>> in_order(static_cast<size_t>(rounds * ranks));
  for (size_t b = 0; b < in_order.size(); ++b)
    for (int64_t i = 0; i < samples; ++i)
      in_order[b].push_back(static_cast<int64_t>(b) * samples + i);
  const int64_t steps = sampler.steps_per_epoch();
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<data::RowCost> rows;
    for (const int64_t row : sampler.global_batch(sampler.cursor_of_step(step)))
      rows.push_back(cost(row));
    add(in_order, rows, static_cast<size_t>(ranks), before);
    add(data::balanced_micro_batches(rows, {rounds, ranks, longest * samples}), rows,
        static_cast<size_t>(ranks), after);
  }
  const auto n = static_cast<double>(steps);
  std::printf(
      "%lld steps; largest over mean: micro-batches %.2f, balanced %.2f; "
      "ranks %.2f, balanced %.2f\n",
      static_cast<long long>(steps), before.micro_batches / n, after.micro_batches / n,
      before.ranks / n, after.ranks / n);
}
