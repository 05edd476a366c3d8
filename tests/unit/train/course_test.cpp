// The end of a run and its place in the schedule, with one global batch and with two.
#include "course.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"
#include "resume_changes.hpp"

using namespace mtrain;
using data::Sampler;
using train::Course;

namespace {

Sampler sampler(int64_t samples, int64_t batch) {
  return Sampler({samples, true, 3, batch, 1, 1});
}

config::Train epochs(double count) {
  config::Train train{};
  train.max_steps = -1;
  train.num_train_epochs = count;
  return train;
}

config::Train steps(int64_t count) {
  config::Train train = epochs(3);
  train.max_steps = count;
  return train;
}

/// Steps that are trained from `cursor` until the course says that all are done.
int64_t walk(const Course& course, const Sampler& sampler, int64_t step, int64_t cursor) {
  const int64_t total = course.total_steps(step, cursor);
  int64_t seen = step;
  for (; seen < total; ++seen) {
    BOOST_REQUIRE(course.total_steps(seen, cursor) == total);
    cursor = sampler.next(cursor);
  }
  BOOST_TEST(course.total_steps(seen, cursor) == seen);
  return seen;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(course)

// To the last bit what it was when steps were counted.
BOOST_AUTO_TEST_CASE(with_one_batch_samples_and_steps_agree) {
  for (const int64_t samples : {1, 7, 24, 25, 40}) {
    for (const int64_t batch : {1, 3, 4, 7}) {
      if (batch > samples) continue;
      for (const double count : {0.3, 1.0, 2.5, 3.0}) {
        const Sampler order = sampler(samples, batch);
        const Course course(epochs(count), order, batch);
        const int64_t total = course.total_steps(0, 0);
        BOOST_TEST(total == static_cast<int64_t>(
                                std::ceil(count * double(order.steps_per_epoch()))));
        BOOST_TEST(course.schedule_steps() == total);
        int64_t cursor = 0;
        for (int64_t step = 0; step < total; ++step, cursor = order.next(cursor)) {
          BOOST_TEST(course.schedule_position(step, cursor) == double(step));
          BOOST_TEST(course.total_steps(step, cursor) == total);
        }
        BOOST_TEST(course.total_steps(total, cursor) == total);
      }
    }
  }
}

// 14 steps of 4 of 40 samples, then steps of 8: three are left of the second epoch.
BOOST_AUTO_TEST_CASE(a_wider_batch_ends_with_the_same_epoch) {
  const Sampler wide = sampler(40, 8);
  const Course course(epochs(3), wide, 4);
  BOOST_TEST(course.total_steps(14, 56) == 14 + 3 + 5);
  BOOST_TEST(walk(course, wide, 14, 56) == 22);
  BOOST_TEST(course.schedule_steps() == 30);
  BOOST_TEST(course.schedule_position(14, 56) == 14);
  BOOST_TEST(course.schedule_position(15, 64) == 16);
  BOOST_TEST(course.schedule_position(21, 112) == 28);
}

BOOST_AUTO_TEST_CASE(any_cursor_and_batch_reach_the_end) {
  for (const int64_t samples : {5, 24, 31}) {
    for (int64_t batch = 1; batch <= samples; ++batch) {
      const Sampler order = sampler(samples, batch);
      const Course course(epochs(2.5), order, 3);
      for (int64_t cursor = 0; cursor < 3 * samples; ++cursor)
        walk(course, order, 100, cursor);
    }
  }
}

BOOST_AUTO_TEST_CASE(max_steps_counts_steps) {
  const Sampler wide = sampler(40, 8);
  const Course course(steps(20), wide, 4);
  BOOST_TEST(course.total_steps(14, 56) == 20);
  BOOST_TEST(course.schedule_steps() == 20);
  BOOST_TEST(course.schedule_position(14, 56) == 14);
}

BOOST_AUTO_TEST_CASE(a_first_batch_larger_than_the_data_is_not_the_unit) {
  const Sampler order = sampler(10, 2);
  BOOST_TEST(Course(epochs(1), order, 16).first_batch() == 2);
}

BOOST_AUTO_TEST_CASE(epochs_beyond_counting_are_refused) {
  const Sampler order = sampler(10, 2);
  BOOST_CHECK_THROW(Course(epochs(1e300), order, 2), UserError);
}

BOOST_AUTO_TEST_CASE(a_cursor_keeps_its_share_of_the_epoch_when_the_data_change) {
  checkpoint::TrainingState state;
  state.samples_consumed = 30;
  BOOST_TEST(train::carried_cursor(state, 40) == 30);  // of an earlier version
  state.extra[train::kDataRowsField] = "20";
  BOOST_TEST(train::carried_cursor(state, 20) == 30);
  BOOST_TEST(train::carried_cursor(state, 40) == 60);
  BOOST_TEST(train::carried_cursor(state, 10) == 15);
}

BOOST_AUTO_TEST_CASE(other_data_are_refused_unless_accepted) {
  checkpoint::TrainingState state;
  state.step = 3;
  config::Deck deck{};
  train::check_data(state, {"a", 4}, deck);  // of an earlier version: only said
  state.extra[train::kDataRowsField] = "4";
  state.extra[train::kDataContentField] = "a";
  train::check_data(state, {"a", 4}, deck);
  BOOST_CHECK_THROW(train::check_data(state, {"b", 4}, deck), UserError);
  BOOST_CHECK_THROW(train::check_data(state, {"b", 5}, deck), UserError);
  deck.checkpoint.accept_changes = true;
  train::check_data(state, {"b", 5}, deck);
}

BOOST_AUTO_TEST_SUITE_END()
