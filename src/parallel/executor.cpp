// Executes schedule ops; transfers of one direction between two stages are one ordered
// channel.
#include "mtrain/parallel/executor.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "mtrain/base/error.hpp"
#include "mtrain/base/profile.hpp"

namespace mtrain::parallel {
namespace {

class Executor {
 public:
  Executor(const ScheduleShape& shape, PipelineModel& model, comm::Communicator& pipeline,
           Activity& activity)
      : shape_(shape), model_(model), pipeline_(pipeline), activity_(activity) {}

  void run(const Op& op) {
    const ProfileRange range(to_string(op));
    switch (op.kind) {
      case Op::Kind::kCompute:
      case Op::Kind::kComputeWithNext:
        return compute_alone(op);
      case Op::Kind::kSend:
        return send(op);
      case Op::Kind::kReceive:
        return receive(op);
      case Op::Kind::kWait:
        return wait();
    }
  }

  void run_in_turns(const Op& first, const Op& second) {
    const ProfileRange range(cat(to_string(first), " with ", to_string(second)));
    const Op& backward = first.direction == Direction::kBackward ? first : second;
    const ActivityRange activity(
        activity_, {Doing::kBackward, "forward in turns with backward", backward.chunk,
                    backward.micro_batch});
    model_.turns().run([&] { compute(first); }, [&] { compute(second); });
  }

 private:
  using Key = std::tuple<Direction, int, int>;
  struct Transfer {
    at::Tensor tensor;
    comm::Pending pending;
  };

  static Key key(const Op& op) { return {op.direction, op.chunk, op.micro_batch}; }
  static int tag(Direction direction) { return static_cast<int>(direction); }

  void compute_alone(const Op& op) {
    const bool forward = op.direction == Direction::kForward;
    const ActivityRange range(
        activity_, {forward ? Doing::kForward : Doing::kBackward,
                    forward ? "forward" : "backward", op.chunk, op.micro_batch});
    compute(op);
  }

  void compute(const Op& op) {
    const at::Tensor input = take_incoming(op);
    at::Tensor result = op.direction == Direction::kForward
                            ? model_.forward(op.chunk, op.micro_batch, input)
                            : model_.backward(op.chunk, op.micro_batch, input);
    if (result.defined()) results_[key(op)] = std::move(result);
  }

  at::Tensor take_incoming(const Op& op) {
    const auto found = incoming_.find(key(op));
    if (found == incoming_.end()) return {};
    Transfer transfer = std::move(found->second);
    incoming_.erase(found);
    transfer.pending->wait();
    return transfer.tensor;
  }

  void receive(const Op& op) {
    const int peer = source(shape_, pipeline_.rank(), op.chunk, op.direction);
    at::Tensor buffer = model_.empty_activation(op.micro_batch);
    auto pending = pipeline_.start_receive(buffer, peer, tag(op.direction));
    incoming_[key(op)] = {std::move(buffer), std::move(pending)};
  }

  void send(const Op& op) {
    const int peer = destination(shape_, pipeline_.rank(), op.chunk, op.direction);
    auto result = results_.extract(key(op));
    MT_CHECK(!result.empty(), "nothing to send: ", to_string(op));
    forget_finished_sends();
    sends_.push_back(
        pipeline_.start_send(std::move(result.mapped()), peer, tag(op.direction)));
  }

  /// Frees the buffers of sends that have arrived; never blocks.
  void forget_finished_sends() {
    std::erase_if(sends_, [](const comm::Pending& pending) { return pending->done(); });
  }

  void wait() {
    for (auto& pending : sends_) comm::finish(pending);
    sends_.clear();
  }

  ScheduleShape shape_;
  PipelineModel& model_;
  comm::Communicator& pipeline_;
  Activity& activity_;
  std::map<Key, at::Tensor> results_;  ///< to be sent
  std::map<Key, Transfer> incoming_;
  std::vector<comm::Pending> sends_;
};

}  // namespace

void run_schedule(const std::vector<Op>& ops, const ScheduleShape& shape,
                  PipelineModel& model, comm::Communicator& pipeline,
                  Activity& activity) {
  Executor executor(shape, model, pipeline, activity);
  for (size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind != Op::Kind::kComputeWithNext) {
      executor.run(ops[i]);
      continue;
    }
    executor.run_in_turns(ops[i], ops.at(i + 1));
    ++i;
  }
}

}  // namespace mtrain::parallel
