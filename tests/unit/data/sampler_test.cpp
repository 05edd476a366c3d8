// The order of training: contract of shuffle = false, partition over ranks, epochs,
// cursors.
#include "mtrain/data/sampler.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <set>

#include "fixtures.hpp"

using mtrain::data::Sampler;
using mtrain::data::SamplerOptions;
namespace test = mtrain::test;
using Indices = std::vector<int64_t>;

namespace {

SamplerOptions options(int64_t samples, bool shuffle, int64_t micro, int64_t accumulation,
                       int64_t dp) {
  return {samples, shuffle, 17, micro, accumulation, dp};
}

Indices steps(const Sampler& sampler, int64_t count) {
  Indices all;
  int64_t cursor = 0;
  for (int64_t step = 0; step < count; ++step) {
    const Indices batch = sampler.global_batch(cursor);
    all.insert(all.end(), batch.begin(), batch.end());
    cursor = sampler.next(cursor);
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sampler)

BOOST_AUTO_TEST_CASE(without_shuffle_step_k_takes_the_kth_slice) {
  const Sampler sampler(options(25, false, 2, 3, 2));
  BOOST_TEST(sampler.global_batch_size() == 12);
  BOOST_TEST(sampler.steps_per_epoch() == 2);
  Indices expected(24);
  std::iota(expected.begin(), expected.end(), 0);
  BOOST_TEST(steps(sampler, 2) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ranks_share_a_micro_batch_before_the_next_begins) {
  const Sampler sampler(options(24, false, 2, 3, 2));
  BOOST_TEST(sampler.micro_batch(0, 0, 0) == (Indices{0, 1}));
  BOOST_TEST(sampler.micro_batch(0, 0, 1) == (Indices{2, 3}));
  BOOST_TEST(sampler.micro_batch(0, 1, 0) == (Indices{4, 5}));
  BOOST_TEST(sampler.micro_batch(12, 2, 1) == (Indices{22, 23}));
}

BOOST_AUTO_TEST_CASE(the_set_of_a_step_does_not_depend_on_the_layout) {
  for (const bool shuffle : {false, true}) {
    const Sampler one(options(50, shuffle, 8, 1, 1));
    const Sampler other(options(50, shuffle, 2, 2, 2));
    for (int64_t cursor = 0, step = 0; step < 9; ++step, cursor = one.next(cursor)) {
      BOOST_TEST(one.next(cursor) == other.next(cursor));
      std::set<int64_t> split;
      for (int64_t micro = 0; micro < 2; ++micro)
        for (int64_t rank = 0; rank < 2; ++rank)
          for (const int64_t i : other.micro_batch(cursor, micro, rank)) split.insert(i);
      const Indices whole = one.global_batch(cursor);
      BOOST_TEST((split == std::set<int64_t>(whole.begin(), whole.end())));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_epoch_takes_each_sample_once_in_an_order_of_its_own) {
  const Sampler sampler(options(40, true, 4, 1, 2));
  const Indices all = steps(sampler, 10);
  const Indices first(all.begin(), all.begin() + 40), second(all.begin() + 40, all.end());
  BOOST_TEST(std::set<int64_t>(first.begin(), first.end()).size() == 40u);
  BOOST_TEST(std::set<int64_t>(second.begin(), second.end()).size() == 40u);
  BOOST_TEST(first != second);
  BOOST_TEST(!std::is_sorted(first.begin(), first.end()));
}

BOOST_AUTO_TEST_CASE(the_incomplete_batch_of_an_epoch_is_dropped) {
  const Sampler sampler(options(10, false, 4, 1, 1));
  BOOST_TEST(steps(sampler, 3) == (Indices{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}),
             boost::test_tools::per_element());
  BOOST_TEST(sampler.epoch(0) == 0.0);
  BOOST_TEST(sampler.epoch(4) == 0.5);
  BOOST_TEST(sampler.epoch(8) == 1.0);
  BOOST_TEST(sampler.epoch(sampler.next(8)) == 1.5);
}

BOOST_AUTO_TEST_CASE(the_cursor_of_a_step_is_where_the_steps_before_lead) {
  const Sampler sampler(options(10, true, 3, 1, 1));
  int64_t cursor = 0;
  for (int64_t step = 0; step < 20; ++step, cursor = sampler.next(cursor))
    BOOST_TEST(sampler.global_batch(cursor) ==
                   sampler.global_batch(sampler.cursor_of_step(step)),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_with_another_batch_size_where_it_stopped) {
  const Sampler before(options(20, true, 4, 1, 1)), after(options(20, true, 3, 1, 2));
  const int64_t cursor = before.next(before.next(0));
  std::set<int64_t> seen;
  for (const int64_t i : before.global_batch(0)) seen.insert(i);
  for (const int64_t i : before.global_batch(before.next(0))) seen.insert(i);
  for (const int64_t i : after.global_batch(cursor)) BOOST_TEST(!seen.contains(i));
}

BOOST_AUTO_TEST_CASE(too_few_samples_for_a_step_are_refused_with_the_numbers) {
  const std::string error =
      mtrain::test::user_error([] { Sampler(options(15, true, 4, 2, 2)); });
  BOOST_TEST(error.find("needs 16 samples") != error.npos, error);
  BOOST_TEST(error.find("has 15") != error.npos, error);
  BOOST_TEST(error.find("lower gradient_accumulation_steps") != error.npos, error);
}

BOOST_AUTO_TEST_CASE(a_step_or_a_run_beyond_counting_is_refused) {
  const int64_t large = int64_t{1} << 32;
  BOOST_TEST(test::user_error([&] {
               Sampler(options(25, false, large, large, 1));
             }).find("number of samples of a step") != std::string::npos);
  const Sampler sampler(options(int64_t{1} << 40, false, 1 << 20, 1 << 10, 1 << 10));
  BOOST_TEST(sampler.cursor_of_step(3) == 3 * (int64_t{1} << 40));
  BOOST_TEST(test::user_error([&] {
               sampler.cursor_of_step(1 << 30);
             }).find("samples of a run") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
