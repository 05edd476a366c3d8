// Who is to blame, for each kind of hang.
#include "verdict.hpp"

#include <boost/test/unit_test.hpp>

#include "describe.hpp"
#include "mtrain/base/text.hpp"

using namespace mtrain;
using namespace mtrain::watch;

namespace {

const Lane kTensor{"tensor", {0, 1, 2}}, kWorld{"world", {0, 1, 2}};

/// A rank in step 5 that has come `marks` far.
RankReport at(int rank, int64_t marks) {
  RankReport report{rank, cat("rank ", rank, " (host a, process 7)")};
  report.idle = 9 + rank;
  report.moment.phase = Phase::kStep;
  report.moment.step = 5;
  report.moment.marks = marks;
  report.moment.layer = 2;
  report.moment.tasks = {"forward of chunk 0 for micro-batch 1"};
  return report;
}

/// It has started these operations on the lane, all but the last done.
void starts(RankReport& report, const Lane& lane, std::vector<Operation> operations) {
  const auto started = static_cast<int64_t>(operations.size());
  for (int64_t i = 0; i + 1 < started; ++i)
    operations[static_cast<size_t>(i)].done = true;
  report.moment.lanes.push_back({lane, started, operations});
}

/// It waits in the last operation it started on its last lane.
void waits(RankReport& report) {
  const auto lane = static_cast<int>(report.moment.lanes.size()) - 1;
  report.moment.waits = {lane, report.moment.lanes.back().started - 1};
}

Operation reduce(int64_t elements) {
  return {OperationKind::kAllReduce, elements, false};
}

std::vector<RankReport> three_waiting() {
  std::vector<RankReport> ranks = {at(0, 8), at(1, 8), at(2, 8)};
  for (auto& r : ranks) {
    starts(r, kTensor, {reduce(4), reduce(4)});
    waits(r);
  }
  return ranks;
}

void check(const std::vector<RankReport>& ranks, std::vector<int> culprits,
           std::vector<std::string> parts) {
  const Verdict verdict = judge(ranks);
  BOOST_TEST(verdict.culprits == culprits, boost::test_tools::per_element());
  for (const auto& part : parts)
    BOOST_TEST(verdict.sentence.find(part) != std::string::npos, verdict.sentence);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(verdicts)

BOOST_AUTO_TEST_CASE(a_stopped_rank) {
  auto ranks = three_waiting();
  ranks[1].answered = false;
  ranks[1].silent = 12.34;
  ranks[1].state = "stopped";
  ranks[1].last_place = "step 5, optimizer";
  check(
      ranks, {1},
      {"rank 1 (host a, process 7) has not answered for 12.3 s (its process is stopped)",
       "in step 5, optimizer", "the other 2 ranks have waited for up to 11 s"});
  ranks[2].ended = true;
  check(ranks, {1, 2}, {"rank 2 (host a, process 7) has ended without a word"});
}

BOOST_AUTO_TEST_CASE(a_rank_that_is_busy_elsewhere) {
  auto ranks = three_waiting();
  ranks[2].moment.lanes[0] = {kTensor, 1, {{OperationKind::kAllReduce, 4, true}}};
  ranks[2].moment.waits.reset();
  ranks[2].moment.tasks = {"reading of data"};
  check(
      ranks, {2},
      {"rank 2 (host a, process 7) has been in step 5, reading of data, layer 2 for 11 s",
       "waits for it in all-reduce 1 (4 elements) of group tensor"});
}

BOOST_AUTO_TEST_CASE(another_size) {
  auto ranks = three_waiting();
  ranks[0].moment.lanes[0].last.back().elements = 5;
  check(ranks, {0}, {"rank 0 differs from the others in group tensor", "(5 elements)"});
}

BOOST_AUTO_TEST_CASE(another_operation) {
  auto ranks = three_waiting();
  ranks[1].moment.lanes[0].last.back().kind = OperationKind::kAllGather;
  check(ranks, {1}, {"rank 1 differs", "all-gather 1", "all-reduce 1"});
}

BOOST_AUTO_TEST_CASE(of_two_that_differ_the_one_ahead_has_left_something_out) {
  const Lane pair{"tensor", {0, 1}};
  std::vector<RankReport> ranks = {at(0, 8), at(1, 9)};
  starts(ranks[0], pair, {reduce(4), reduce(4)});
  starts(ranks[1], pair, {reduce(4), reduce(6)});
  waits(ranks[0]);
  waits(ranks[1]);
  check(ranks, {1}, {"rank 1 differs"});
  ranks[1].moment.marks = 8;
  check(ranks, {0, 1}, {"ranks 0 and 1 differ"});
}

BOOST_AUTO_TEST_CASE(a_rank_that_left_without_the_others) {
  auto ranks = three_waiting();
  ranks[1].moment.lanes[0].last.back().done = true;
  ranks[1].moment.waits.reset();
  check(ranks, {1}, {"rank 1 (host a, process 7) did not take part in all-reduce 1"});
}

BOOST_AUTO_TEST_CASE(in_a_circle_the_one_ahead) {
  auto ranks = three_waiting();
  ranks[1] = at(1, 12);
  starts(ranks[1], kTensor, {reduce(4)});
  ranks[1].moment.lanes.back().last.back().done = true;
  starts(ranks[1], kWorld, {reduce(2)});
  waits(ranks[1]);
  check(ranks, {1},
        {"rank 1 (host a, process 7) did not take part in all-reduce 1 (4 elements) of "
         "group tensor",
         "waits in all-reduce 0 (2 elements) of group world"});
}

// Rank 1 left out the last thing before a meeting: it is no place further than the
// others.
BOOST_AUTO_TEST_CASE(in_a_circle_of_equals_most_are_right) {
  std::vector<RankReport> ranks = {at(0, 8), at(1, 8), at(2, 8)};
  for (auto& r : ranks) {
    starts(r, r.rank == 1 ? Lane{"all ranks", {0, 1, 2}} : kWorld, {reduce(2)});
    waits(r);
  }
  check(ranks, {1}, {"rank 1 (host a, process 7) did not take part in all-reduce 0"});
}

// Rank 1 left out the last thing before the operation of all: the pair that did not goes
// to show the order.
BOOST_AUTO_TEST_CASE(in_a_circle_of_equals_the_others_show_the_order) {
  const Lane first{"data", {0, 2}}, second{"data", {1, 3}}, all{"world", {0, 1, 2, 3}};
  std::vector<RankReport> ranks = {at(0, 8), at(1, 8), at(2, 8), at(3, 8)};
  for (auto& r : ranks) {
    if (r.rank != 1) starts(r, r.rank == 3 ? second : first, {reduce(9)});
    if (r.rank != 3) {
      if (r.rank != 1) r.moment.lanes.back().last.back().done = true;
      starts(r, all, {reduce(2)});
    }
    waits(r);
  }
  check(ranks, {1}, {"rank 1 (host a, process 7) did not take part in all-reduce 0 (9"});
}

BOOST_AUTO_TEST_CASE(a_chain_along_the_pipeline) {
  std::vector<RankReport> ranks = {at(0, 3), at(1, 8), at(2, 8)};
  const Lane first{"pipeline", {0, 1}, 0, 1, 0, true},
      second{"pipeline", {1, 2}, 1, 2, 0, true};
  starts(ranks[1], first, {{OperationKind::kReceive, 4, false}});
  starts(ranks[2], second, {{OperationKind::kReceive, 4, false}});
  waits(ranks[1]);
  waits(ranks[2]);
  check(ranks, {0},
        {"rank 0 (host a, process 7) has been in step 5", "for 9 s",
         "rank 1 waits for it in receive 0 (4 elements) from rank 0 to rank 1"});
}

BOOST_AUTO_TEST_CASE(nobody_to_blame) {
  check(three_waiting(), {}, {"all ranks have started all-reduce 1", "does not end"});
}

BOOST_AUTO_TEST_CASE(moments_travel) {
  auto ranks = three_waiting();
  starts(ranks[0], {"pipeline", {0, 1}, 0, 1, 1, true},
         {{OperationKind::kReceive, 7, false}});
  const Moment& sent = ranks[0].moment;
  const Moment got = moment_from_json(nlohmann::json::parse(to_json(sent).dump()));
  BOOST_TEST(place_of(got) == place_of(sent));
  BOOST_TEST((got.waits == sent.waits));
  BOOST_REQUIRE(got.lanes.size() == 2u);
  BOOST_TEST((got.lanes[1].lane.key() == sent.lanes[1].lane.key()));
  BOOST_TEST(watch::describe(got.lanes[1], 0) == watch::describe(sent.lanes[1], 0));
  BOOST_TEST(got.marks == sent.marks);
}

BOOST_AUTO_TEST_SUITE_END()
