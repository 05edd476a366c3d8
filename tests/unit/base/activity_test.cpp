// What a rank tells of itself: where it is, what it waits for, and where its time went.
#include "mtrain/base/activity.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

using namespace mtrain;

namespace {

void spend(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

double of(const DoingTimes& times, Doing doing) {
  return times[static_cast<size_t>(doing)];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(activity)

BOOST_AUTO_TEST_CASE(time_goes_to_the_innermost) {
  Activity activity;
  const int group = activity.add_lane({"tensor", {0, 1}});
  const int channel = activity.add_lane({"pipeline", {0, 1}, 0, 1, 0, true});
  spend(30);  // set-up, which is no step
  const PhaseRange phase(activity, Phase::kStep);
  {
    const ActivityRange range(activity, {Doing::kForward, "forward", 0, 3});
    spend(20);
    const int64_t number = activity.starts(group, OperationKind::kAllReduce, 8);
    activity.waits(group, number);
    spend(40);
    activity.waited(group, number, true);
  }
  const int64_t number = activity.starts(channel, OperationKind::kReceive, 8);
  activity.waits(channel, number);
  spend(10);
  activity.waited(channel, number, true);
  const DoingTimes times = activity.times();
  BOOST_TEST(of(times, Doing::kForward) >= 0.02);
  BOOST_TEST(of(times, Doing::kCommunication) >= 0.04);
  BOOST_TEST(of(times, Doing::kWait) >= 0.01);
  BOOST_TEST(of(times, Doing::kBackward) == 0.0);
  double sum = 0;
  for (const double seconds : times) sum += seconds;
  BOOST_TEST(sum >= 0.07);
  BOOST_TEST(of(times, Doing::kOther) < 0.03);
}

BOOST_AUTO_TEST_CASE(a_moment_says_where_it_is) {
  Activity activity;
  const int group = activity.add_lane({"data", {0, 2}});
  activity.phase(Phase::kStep);
  activity.step(7);
  activity.begin({Doing::kBackward, "backward", 1, 2});
  activity.layer(5);
  const int64_t ticks = activity.progress().ticks;
  for (int i = 0; i < 140; ++i) activity.starts(group, OperationKind::kAllReduce, i);
  activity.waits(group, 139);
  BOOST_TEST(activity.progress().ticks > ticks);
  const Moment moment = activity.moment();
  BOOST_TEST(moment.step == 7);
  BOOST_TEST(moment.layer == 5);
  BOOST_TEST(moment.marks == 2);
  BOOST_TEST(moment.tasks.back() == "backward of chunk 1 for micro-batch 2");
  BOOST_TEST(moment.waits->second == 139);
  const LaneRecord& lane = moment.lanes.at(0);
  BOOST_TEST(lane.started == 140);
  BOOST_TEST(lane.find(139)->elements == 139);
  BOOST_TEST(lane.find(139)->done == false);
  BOOST_TEST(lane.find(100)->elements == 100);
  BOOST_TEST(!lane.find(2));
  BOOST_TEST(!lane.find(140));
  activity.waited(group, 139, true);
  activity.end();
  BOOST_TEST(activity.moment().lanes.at(0).find(139)->done);
  BOOST_TEST(!activity.moment().waits.has_value());
  BOOST_TEST(activity.moment().tasks.empty());
}

BOOST_AUTO_TEST_CASE(a_trace_holds_tasks_and_waits) {
  Activity activity;
  const int group = activity.add_lane({"data", {0, 1}});
  activity.begin({Doing::kForward, "forward", 0, 0});
  activity.start_trace();
  const int64_t number = activity.starts(group, OperationKind::kAllGather, 8);
  activity.waits(group, number);
  activity.waited(group, number, true);
  activity.end();
  const auto events = activity.take_trace();
  BOOST_REQUIRE(events.size() == 2u);
  BOOST_TEST(events[0].name == "wait for all-gather in data");
  BOOST_TEST(events[1].name == "forward of chunk 0 for micro-batch 0");
  BOOST_TEST(events[1].begin <= events[0].begin);
  BOOST_TEST(events[0].end <= events[1].end);
  activity.begin({Doing::kForward, "forward", 0, 1});
  activity.end();
  BOOST_TEST(activity.take_trace().empty());
}

BOOST_AUTO_TEST_SUITE_END()
