// Schedules over all small sizes: every pass once, every send received in order, no
// deadlock even when sends block until they are received, activations bounded.
#include "mtrain/parallel/schedule.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <set>
#include <tuple>

using namespace mtrain::parallel;

namespace {

using Channel = std::tuple<int, int, Direction>;  // from, to, direction
using Key = std::tuple<Direction, int, int>;      // direction, chunk, micro-batch

/// Runs the op lists of all stages against each other. A transfer completes once both
/// ends have started it; a wait blocks until all transfers its stage started are
/// complete.
class Simulation {
 public:
  Simulation(const ScheduleShape& shape, bool training) : shape_(shape) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      lists_.push_back(training ? training_schedule(shape, stage)
                                : forward_schedule(shape, stage));
    }
    position_.resize(lists_.size());
    open_.resize(lists_.size());
    arrived_.resize(lists_.size());
  }

  /// Empty when all lists ran to their end, else what is stuck.
  std::string run() {
    bool moved = true;
    while (moved && error_.empty()) {
      moved = false;
      for (size_t stage = 0; stage < lists_.size(); ++stage) {
        while (position_[stage] < lists_[stage].size() && step(stage)) moved = true;
      }
    }
    for (size_t stage = 0; stage < lists_.size() && error_.empty(); ++stage) {
      if (position_[stage] < lists_[stage].size()) {
        error_ = "stage " + std::to_string(stage) + " stuck at " +
                 to_string(lists_[stage][position_[stage]]);
      }
    }
    return error_;
  }

  const std::vector<Op>& list(int stage) const {
    return lists_[static_cast<size_t>(stage)];
  }

 private:
  bool step(size_t stage) {
    const Op& op = lists_[stage][position_[stage]];
    const int here = static_cast<int>(stage);
    if (op.kind == Op::Kind::kWait && !open_[stage].empty()) return false;
    if (op.computes() && !arrived(stage, op)) return false;
    // Of two passes in turns neither ends before both inputs are there.
    if (op.kind == Op::Kind::kComputeWithNext &&
        !arrived(stage, lists_[stage][position_[stage] + 1]))
      return false;
    if (op.kind == Op::Kind::kSend) {
      const int to = destination(shape_, here, op.chunk, op.direction);
      start(stage, {here, to, op.direction}, sends_, op);
    }
    if (op.kind == Op::Kind::kReceive) {
      const int from = source(shape_, here, op.chunk, op.direction);
      start(stage, {from, here, op.direction}, receives_, op);
    }
    ++position_[stage];
    return true;
  }

  bool arrived(size_t stage, const Op& op) const {
    const int from = source(shape_, static_cast<int>(stage), op.chunk, op.direction);
    return from < 0 || arrived_[stage].count({op.direction, op.chunk, op.micro_batch});
  }

  void start(size_t stage, const Channel& channel,
             std::map<Channel, std::deque<Op>>& side, const Op& op) {
    side[channel].push_back(op);
    open_[stage].insert({op.kind, op.direction, op.chunk, op.micro_batch});
    auto& sent = sends_[channel];
    auto& wanted = receives_[channel];
    while (!sent.empty() && !wanted.empty()) complete(channel, sent, wanted);
  }

  void complete(const Channel& channel, std::deque<Op>& sent, std::deque<Op>& wanted) {
    const Op s = sent.front(), r = wanted.front();
    sent.pop_front();
    wanted.pop_front();
    const int shift = virtual_shift(channel, s, r);
    if (s.micro_batch != r.micro_batch || shift != 1) {
      error_ = to_string(s) + " meets " + to_string(r);
    }
    const auto from = static_cast<size_t>(std::get<0>(channel));
    const auto to = static_cast<size_t>(std::get<1>(channel));
    open_[from].erase({s.kind, s.direction, s.chunk, s.micro_batch});
    open_[to].erase({r.kind, r.direction, r.chunk, r.micro_batch});
    arrived_[to].insert({r.direction, r.chunk, r.micro_batch});
  }

  /// How many virtual stages the transfer moves along its direction: must be one.
  int virtual_shift(const Channel& channel, const Op& s, const Op& r) const {
    const int from = s.chunk * shape_.stages + std::get<0>(channel);
    const int to = r.chunk * shape_.stages + std::get<1>(channel);
    return s.direction == Direction::kForward ? to - from : from - to;
  }

  ScheduleShape shape_;
  std::vector<std::vector<Op>> lists_;
  std::vector<size_t> position_;
  std::vector<std::set<std::tuple<Op::Kind, Direction, int, int>>> open_;
  std::vector<std::set<Key>> arrived_;
  std::map<Channel, std::deque<Op>> sends_, receives_;
  std::string error_;
};

template <class Check>
void for_all_shapes(const Check& check) {
  for (int stages = 1; stages <= 5; ++stages) {
    for (int chunks = 1; chunks <= (stages > 1 ? 4 : 1); ++chunks) {
      for (int micro_batches = 1; micro_batches <= 11; ++micro_batches) {
        for (const bool overlap : {false, true})
          for (const bool pairs : {false, true})
            check(ScheduleShape{stages, chunks, micro_batches, overlap, pairs});
      }
    }
  }
}

std::string name(const ScheduleShape& s) {
  return "stages " + std::to_string(s.stages) + " chunks " + std::to_string(s.chunks) +
         " micro-batches " + std::to_string(s.micro_batches) +
         (s.overlap_p2p ? " overlap" : "") + (s.pairs ? " pairs" : "");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedule)

BOOST_AUTO_TEST_CASE(no_deadlock_and_every_transfer_matches) {
  for_all_shapes([](const ScheduleShape& shape) {
    for (const bool training : {true, false}) {
      const std::string stuck = Simulation(shape, training).run();
      BOOST_CHECK_MESSAGE(stuck.empty(), name(shape) + ": " + stuck);
    }
  });
}

BOOST_AUTO_TEST_CASE(every_pass_runs_once_and_backward_after_forward) {
  for_all_shapes([](const ScheduleShape& shape) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      std::set<Key> done;
      for (const Op& op : training_schedule(shape, stage)) {
        if (!op.computes()) continue;
        BOOST_TEST(done.insert({op.direction, op.chunk, op.micro_batch}).second);
        if (op.direction == Direction::kBackward) {
          BOOST_TEST(done.count({Direction::kForward, op.chunk, op.micro_batch}) == 1u);
        }
      }
      BOOST_TEST(done.size() ==
                 2u * static_cast<size_t>(shape.chunks * shape.micro_batches));
    }
  });
}

// 1F1B keeps at most (stages - stage) micro-batches; that is its point against GPipe.
BOOST_AUTO_TEST_CASE(one_f_one_b_bounds_activations) {
  for (int stages = 1; stages <= 6; ++stages) {
    for (int stage = 0; stage < stages; ++stage) {
      const auto ops = training_schedule({stages, 1, 12, false}, stage);
      BOOST_TEST(peak_in_flight(ops) == stages - stage);
    }
  }
}

// Forward and backward passes alternate as without pairs, each in the order it has there:
// what a backward pass adds to a gradient comes in the same order.
BOOST_AUTO_TEST_CASE(pairs_change_no_order_of_one_direction) {
  const auto passes = [](const ScheduleShape& shape, int stage, Direction direction) {
    std::vector<std::pair<int, int>> order;
    for (const Op& op : training_schedule(shape, stage))
      if (op.computes() && op.direction == direction)
        order.emplace_back(op.chunk, op.micro_batch);
    return order;
  };
  for_all_shapes([&](ScheduleShape shape) {
    if (!shape.pairs) return;
    ScheduleShape single = shape;
    single.pairs = false;
    for (int stage = 0; stage < shape.stages; ++stage)
      for (const auto direction : {Direction::kForward, Direction::kBackward})
        BOOST_TEST((passes(shape, stage, direction) == passes(single, stage, direction)));
  });
}

BOOST_AUTO_TEST_CASE(pairs_are_of_a_forward_and_an_earlier_backward) {
  for_all_shapes([](const ScheduleShape& shape) {
    if (!shape.pairs) return;
    for (int stage = 0; stage < shape.stages; ++stage) {
      const auto ops = training_schedule(shape, stage);
      std::set<std::pair<int, int>> before;
      for (size_t i = 0; i < ops.size(); ++i) {
        const Op& op = ops[i];
        if (op.computes() && op.direction == Direction::kForward)
          before.emplace(op.chunk, op.micro_batch);
        if (op.kind != Op::Kind::kComputeWithNext) continue;
        const Op& other = ops.at(i + 1);
        BOOST_TEST((op.direction == Direction::kForward));
        BOOST_TEST((other.kind == Op::Kind::kCompute));
        BOOST_TEST((other.direction == Direction::kBackward));
        BOOST_TEST((std::pair(op.chunk, op.micro_batch) !=
                    std::pair(other.chunk, other.micro_batch)));
        BOOST_TEST(before.count({other.chunk, other.micro_batch}) == 1u);
      }
    }
  });
}

// All forward passes but those of the warm-up have a partner, and each stage keeps two
// micro-batches more than the one after it: a pair of each stage at a time.
BOOST_AUTO_TEST_CASE(pairs_fill_the_steady_phase) {
  for (int stages = 1; stages <= 5; ++stages)
    for (int stage = 0; stage < stages; ++stage) {
      const auto ops = training_schedule({stages, 1, 12, true, true}, stage);
      const auto pairs = std::ranges::count_if(
          ops, [](const Op& op) { return op.kind == Op::Kind::kComputeWithNext; });
      BOOST_TEST(pairs == 12 - 2 * (stages - stage - 1) - 1);
      BOOST_TEST(peak_in_flight(ops) == 2 * (stages - stage) - 1);
    }
}

// Megatron-LM's interleaved warm-up: 2 (p - r - 1) + (v - 1) p forwards, then one more.
BOOST_AUTO_TEST_CASE(interleaved_warm_up_is_megatrons) {
  const auto ops = training_schedule({4, 2, 8, true}, 1);
  int forwards = 0;
  for (const Op& op : ops) {
    if (!op.computes()) continue;
    if (op.direction == Direction::kBackward) break;
    ++forwards;
  }
  BOOST_TEST(forwards == 2 * 2 + 4 + 1);
}

// Stage 0 of 2: warm-up forward 0, forward 1; the gradient of 0 is asked for before
// forward 1.
BOOST_AUTO_TEST_CASE(overlap_starts_receives_one_compute_earlier) {
  const auto index_of = [](const std::vector<Op>& ops, const Op& wanted) {
    return std::find(ops.begin(), ops.end(), wanted) - ops.begin();
  };
  const Op receive{Op::Kind::kReceive, Direction::kBackward, 0, 0};
  const Op compute{Op::Kind::kCompute, Direction::kForward, 0, 1};
  const auto early = training_schedule({2, 1, 4, true}, 0);
  const auto late = training_schedule({2, 1, 4, false}, 0);
  BOOST_TEST(index_of(early, receive) < index_of(early, compute));
  BOOST_TEST(index_of(late, receive) > index_of(late, compute));
}

BOOST_AUTO_TEST_SUITE_END()
