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
  if (s.chunks == 1 && !s.pairs) return std::min(s.stages - stage - 1, total);
  // A last group smaller than the pipeline would let a stage wait for a pass its peer has
  // queued behind the answer: run all forwards first, as Megatron does for one group.
  if (s.chunks > 1 && (s.micro_batches % s.stages != 0 || s.micro_batches == s.stages))
    return total;
  // One more where passes are paired: the last stage's first backward pass is of the
  // forward pass before, and all stages compute one pair at a time.
  const int ahead = (s.stages - stage - 1) * 2 + (s.chunks - 1) * s.stages;
  return std::min(ahead + (s.pairs ? 1 : 0), total);
}

/// What computes at a time: one pass, or a forward and a backward pass in turns.
using Passes = std::vector<Compute>;

std::vector<Passes> compute_order(const ScheduleShape& s, int stage) {
  const auto forward = pass_order(s, Direction::kForward);
  const auto backward = pass_order(s, Direction::kBackward);
  const auto ahead = static_cast<size_t>(warm_up(s, stage));
  std::vector<Passes> order;
  for (size_t i = 0; i < ahead; ++i) order.push_back({forward[i]});
  for (size_t i = 0; i < backward.size(); ++i) {
    const bool steady = ahead + i < forward.size();
    if (steady) order.push_back({forward[ahead + i]});
    if (steady && s.pairs)
      order.back().push_back(backward[i]);
    else
      order.push_back({backward[i]});
  }
  return order;
}

Op op(Op::Kind kind, const Compute& c) {
  return {kind, c.direction, c.chunk, c.micro_batch};
}

/// Adds the transfers to the compute ops. With overlap the receives for passes i start
/// before passes i-1 compute, without right before passes i. Sends are only waited for at
/// the end: a stage that waited for its send between two passes could wait for a peer
/// that waits for it (interleaved schedules do, see the schedule test).
std::vector<Op> with_transfers(const ScheduleShape& s, int stage,
                               const std::vector<Passes>& order) {
  std::vector<Op> ops;
  const auto start_receives = [&](size_t i) {
    if (i >= order.size()) return;
    for (const Compute& c : order[i])
      if (source(s, stage, c.chunk, c.direction) >= 0)
        ops.push_back(op(Op::Kind::kReceive, c));
  };
  if (s.overlap_p2p) start_receives(0);
  for (size_t i = 0; i < order.size(); ++i) {
    start_receives(s.overlap_p2p ? i + 1 : i);
    for (const Compute& c : order[i])
      ops.push_back(op(
          &c == &order[i].back() ? Op::Kind::kCompute : Op::Kind::kComputeWithNext, c));
    for (const Compute& c : order[i])
      if (destination(s, stage, c.chunk, c.direction) >= 0)
        ops.push_back(op(Op::Kind::kSend, c));
  }
  if (!order.empty()) ops.push_back(op(Op::Kind::kWait, order.back().back()));
  return ops;
}

}  // namespace

std::string to_string(const Op& op) {
  static const char* const names[] = {"compute", "compute", "send", "receive", "wait"};
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
  std::vector<Passes> order;
  for (const Compute& c : pass_order(shape, Direction::kForward)) order.push_back({c});
  return with_transfers(shape, stage, order);
}

int peak_in_flight(const std::vector<Op>& ops) {
  int now = 0, peak = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind == Op::Kind::kComputeWithNext) {
      ++i;  // the pair leaves as many as there were
      continue;
    }
    if (!ops[i].computes()) continue;
    now += ops[i].direction == Direction::kForward ? 1 : -1;
    peak = std::max(peak, now);
  }
  return peak;
}

}  // namespace mtrain::parallel
