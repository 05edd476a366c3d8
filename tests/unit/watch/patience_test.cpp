// How long a rank may stand still, learned from its own steps.
#include "patience.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace mtrain;
using watch::Patience;

BOOST_AUTO_TEST_SUITE(patience_suite)

BOOST_AUTO_TEST_CASE(limits_are_learned) {
  Activity activity;
  Patience patience(2);
  patience.look(activity, 100);
  BOOST_TEST(std::isinf(patience.limit()));  // set-up
  activity.phase(Phase::kStep);
  activity.step(1);
  patience.look(activity, 1);
  BOOST_TEST(patience.limit() == 20.0);  // nothing known of steps
  patience.look(activity, 3);
  activity.step(2);
  patience.look(activity, 1);
  BOOST_TEST(patience.limit() == 20.0);  // five times the four seconds of step 1
  for (int step = 3; step < 6; ++step) {
    activity.step(step);
    patience.look(activity, 0.1);
  }
  BOOST_TEST(patience.limit() == 20.0);  // the longest counts
  activity.phase(Phase::kSave);
  patience.look(activity, 1);
  BOOST_TEST(patience.limit() == 60.0);
}

BOOST_AUTO_TEST_CASE(short_steps_leave_the_floor) {
  Activity activity;
  Patience patience(2);
  activity.phase(Phase::kStep);
  for (int step = 1; step < 4; ++step) {
    activity.step(step);
    patience.look(activity, 0.1);
  }
  BOOST_TEST(patience.limit() == 2.0);
}

// The helper thread speaks in set-up too, however long that takes.
BOOST_AUTO_TEST_CASE(silence_has_a_limit_everywhere) {
  Activity activity;
  Patience patience(2);
  patience.look(activity, 1);
  BOOST_TEST(watch::silence_limit(2, patience.limit()) == 4.0);
  BOOST_TEST(watch::silence_limit(2, 20) == 20.0);
  BOOST_TEST(watch::silence_limit(2, 1) == 2.0);
  patience.set_floor(3);
  activity.phase(Phase::kStep);
  patience.look(activity, 1);
  BOOST_TEST(patience.limit() == 30.0);
}

BOOST_AUTO_TEST_CASE(any_progress_counts) {
  Activity activity;
  Patience patience(2);
  activity.phase(Phase::kStep);
  activity.step(1);
  patience.look(activity, 1);
  patience.look(activity, 1);
  patience.look(activity, 1);
  BOOST_TEST(patience.idle() == 2.0);
  activity.layer(3);
  patience.look(activity, 1);
  BOOST_TEST(patience.idle() == 0.0);
}

BOOST_AUTO_TEST_SUITE_END()
