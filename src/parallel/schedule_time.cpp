// Simulates schedules; used by the plan.
#include "mtrain/parallel/schedule_time.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

class Simulation {
 public:
  Simulation(const ScheduleShape& shape, const PassSeconds& pass, double transfer)
      : shape_(shape), pass_(pass), transfer_(transfer) {
    for (int stage = 0; stage < shape.stages; ++stage)
      stages_.push_back({training_schedule(shape, stage)});
  }

  ScheduleTime run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int stage = 0; stage < shape_.stages; ++stage)
        while (advance(stage)) moved = true;
    }
    ScheduleTime time{0, {}};
    for (const Stage& stage : stages_) {
      MT_CHECK(stage.next == stage.ops.size(), "a schedule that cannot end");
      time.seconds = std::max(time.seconds, stage.now);
      time.busy.push_back(stage.busy);
    }
    return time;
  }

 private:
  struct Stage {
    std::vector<Op> ops;
    size_t next = 0;
    double now = 0, busy = 0;
  };
  /// Arrivals, by (stage, direction, chunk, micro-batch) of the pass they are for.
  using Key = std::tuple<int, Direction, int, int>;

  /// Runs the stage's next op; false when it must wait for another stage, or has ended.
  bool advance(int index) {
    Stage& stage = stages_[static_cast<size_t>(index)];
    if (stage.next == stage.ops.size()) return false;
    const Op& op = stage.ops[stage.next];
    if (op.computes()) {
      if (source(shape_, index, op.chunk, op.direction) >= 0) {
        const auto input =
            arrivals_.find({index, op.direction, op.chunk, op.micro_batch});
        if (input == arrivals_.end()) return false;
        stage.now = std::max(stage.now, input->second);
      }
      const double seconds = pass_(index, op.chunk, op.direction);
      stage.now += seconds;
      stage.busy += seconds;
    }
    if (op.kind == Op::Kind::kSend) send(index, op, stage.now);
    ++stage.next;
    return true;
  }

  void send(int index, const Op& op, double now) {
    const int to = destination(shape_, index, op.chunk, op.direction);
    // Round the pipeline's end the next chunk begins.
    const int step = op.direction == Direction::kForward ? 1 : -1;
    const bool wraps = index + step != to;
    const int chunk = wraps ? op.chunk + step : op.chunk;
    arrivals_[{to, op.direction, chunk, op.micro_batch}] = now + transfer_;
  }

  ScheduleShape shape_;
  const PassSeconds& pass_;
  double transfer_;
  std::vector<Stage> stages_;
  std::map<Key, double> arrivals_;
};

}  // namespace

double ScheduleTime::idle_share() const {
  double sum = 0;
  for (const double stage : busy) sum += stage;
  return seconds > 0 ? 1 - sum / static_cast<double>(busy.size()) / seconds : 0;
}

ScheduleTime simulate(const ScheduleShape& shape, const PassSeconds& pass,
                      double transfer) {
  return Simulation(shape, pass, transfer).run();
}

}  // namespace mtrain::parallel
