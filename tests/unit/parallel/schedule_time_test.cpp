// The simulated time of schedules: closed forms where there are some.
#include "mtrain/parallel/schedule_time.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace mtrain::parallel;

namespace {

ScheduleTime time_of(const ScheduleShape& shape) {
  return simulate(
      shape, [](int, int, Direction d) { return d == Direction::kForward ? 1.0 : 2.0; },
      0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedule_times)

// Narayanan et al. 2021, section 2.2: (p - 1) / m of the ideal time, over the chunks
// where these are interleaved.
BOOST_AUTO_TEST_CASE(bubbles_of_equal_stages) {
  for (const int stages : {1, 2, 4, 8}) {
    for (const int rounds : {1, 2, 4}) {
      const double p = stages, m = stages * rounds;
      const double plain = (p - 1) / (m + p - 1);
      BOOST_TEST(std::abs(time_of({stages, 1, stages * rounds, true}).idle_share() -
                          plain) < 1e-9);
      if (rounds < 2) continue;
      for (const int chunks : {2, 3}) {
        const double interleaved = (p - 1) / (chunks * m + p - 1);
        BOOST_TEST(
            std::abs(time_of({stages, chunks, stages * rounds, true}).idle_share() -
                     interleaved) < 1e-9,
            stages << " stages, " << chunks << " chunks, " << rounds);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_slow_stage_decides) {
  const auto time = simulate(
      {2, 1, 8, true}, [](int stage, int, Direction) { return stage == 1 ? 3.0 : 1.0; },
      0);
  BOOST_TEST(time.busy[0] == 16.0);
  BOOST_TEST(time.busy[1] == 48.0);
  BOOST_TEST(time.seconds == 1 + 48 + 1);
}

BOOST_AUTO_TEST_CASE(transfers_take_time) {
  const auto at = [](double transfer) {
    return simulate(
               {2, 1, 1, true}, [](int, int, Direction) { return 1.0; }, transfer)
        .seconds;
  };
  BOOST_TEST(at(0) == 4.0);
  BOOST_TEST(at(0.5) == 5.0);
}

BOOST_AUTO_TEST_CASE(every_shape_ends) {
  for (int stages = 1; stages <= 5; ++stages)
    for (int chunks = 1; chunks <= 3; ++chunks)
      for (int batches = 1; batches <= 9; ++batches)
        for (const bool overlap : {false, true})
          BOOST_TEST(time_of({stages, chunks, batches, overlap}).seconds >=
                     3.0 * chunks * batches);
}

BOOST_AUTO_TEST_CASE(both_passes_of_a_pair_count) {
  for (int stages = 1; stages <= 4; ++stages)
    for (int chunks = 1; chunks <= 2; ++chunks)
      for (int batches = 1; batches <= 9; ++batches) {
        const auto time = time_of({stages, chunks, batches, true, true});
        for (const double busy : time.busy) BOOST_TEST(busy == 3.0 * chunks * batches);
      }
}

BOOST_AUTO_TEST_SUITE_END()
