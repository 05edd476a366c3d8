// Builds the op lists of 1F1B and interleaved 1F1B; knows nothing of tensors or ranks.
#include "mtrain/parallel/schedule.hpp"

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

/// A compute op still without its transfers.
struct Compute {
  Direction direction;
  int chunk, micro_batch;
};

/// Order of the forward (or backward) passes of a stage: micro-batches in groups as large
/// as the pipeline, each group through all chunks before the next.
std::vector<Compute> pass_order(const ScheduleShape& s, Direction direction) {
  std::vector<Compute> order;
  for (int first = 0; first < s.micro_batches; first += s.stages) {
    const int last = std::min(first + s.stages, s.micro_batches);
    for (int c = 0; c < s.chunks; ++c) {
      const int chunk = direction == Direction::kForward ? c : s.chunks - 1 - c;
      for (int m = first; m < last; ++m) order.push_back({direction, chunk, m});
    }
  }
  return order;
}

/// Forward passes a stage runs before its first backward.
int warm_up(const ScheduleShape& s, int stage) {
  const int total = s.micro_batches * s.chunks;
  if (s.chunks == 1) return std::min(s.stages - stage - 1, total);
  // A last group smaller than the pipeline would let a stage wait for a pass its peer has
  // queued behind the answer: run all forwards first, as Megatron does for one group.
  if (s.micro_batches % s.stages != 0 || s.micro_batches == s.stages) return total;
  return std::min((s.stages - stage - 1) * 2 + (s.chunks - 1) * s.stages, total);
}

std::vector<Compute> compute_order(const ScheduleShape& s, int stage) {
  const auto forward = pass_order(s, Direction::kForward);
  const auto backward = pass_order(s, Direction::kBackward);
  const auto ahead = static_cast<size_t>(warm_up(s, stage));
  std::vector<Compute> order(forward.begin(), forward.begin() + static_cast<long>(ahead));
  for (size_t i = 0; i < backward.size(); ++i) {
    if (ahead + i < forward.size()) order.push_back(forward[ahead + i]);
    order.push_back(backward[i]);
  }
  return order;
}

Op op(Op::Kind kind, const Compute& c) {
  return {kind, c.direction, c.chunk, c.micro_batch};
}

/// Adds the transfers to the compute ops. With overlap the receive for op i starts before
/// op i-1 computes, without right before op i. Sends are only waited for at the end: a
/// stage that waited for its send between two passes could wait for a peer that waits for
/// it (interleaved schedules do, see the schedule test).
std::vector<Op> with_transfers(const ScheduleShape& s, int stage,
                               const std::vector<Compute>& order) {
  std::vector<Op> ops;
  const auto start_receive = [&](size_t i) {
    if (i >= order.size()) return;
    if (source(s, stage, order[i].chunk, order[i].direction) < 0) return;
    ops.push_back(op(Op::Kind::kReceive, order[i]));
  };
  if (s.overlap_p2p) start_receive(0);
  for (size_t i = 0; i < order.size(); ++i) {
    start_receive(s.overlap_p2p ? i + 1 : i);
    ops.push_back(op(Op::Kind::kCompute, order[i]));
    if (destination(s, stage, order[i].chunk, order[i].direction) >= 0) {
      ops.push_back(op(Op::Kind::kSend, order[i]));
    }
  }
  if (!order.empty()) ops.push_back(op(Op::Kind::kWait, order.back()));
  return ops;
}

}  // namespace

std::string to_string(const Op& op) {
  static const char* const names[] = {"compute", "send", "receive", "wait"};
  if (op.kind == Op::Kind::kWait) return "wait";
  return cat(names[static_cast<int>(op.kind)],
             op.direction == Direction::kForward ? " forward" : " backward", " chunk ",
             op.chunk, " micro-batch ", op.micro_batch);
}

int destination(const ScheduleShape& s, int stage, int chunk, Direction direction) {
  const int step = direction == Direction::kForward ? 1 : -1;
  const int next = chunk * s.stages + stage + step;
  return next < 0 || next >= s.stages * s.chunks ? -1 : next % s.stages;
}

int source(const ScheduleShape& s, int stage, int chunk, Direction direction) {
  const auto opposite =
      direction == Direction::kForward ? Direction::kBackward : Direction::kForward;
  return destination(s, stage, chunk, opposite);
}

std::vector<Op> training_schedule(const ScheduleShape& shape, int stage) {
  MT_CHECK(stage >= 0 && stage < shape.stages, "stage ", stage, " of ", shape.stages);
  return with_transfers(shape, stage, compute_order(shape, stage));
}

std::vector<Op> forward_schedule(const ScheduleShape& shape, int stage) {
  return with_transfers(shape, stage, pass_order(shape, Direction::kForward));
}

int peak_in_flight(const std::vector<Op>& ops) {
  int now = 0, peak = 0;
  for (const auto& op : ops) {
    if (op.kind != Op::Kind::kCompute) continue;
    now += op.direction == Direction::kForward ? 1 : -1;
    peak = std::max(peak, now);
  }
  return peak;
}

}  // namespace mtrain::parallel
