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
        return compute(op);
      case Op::Kind::kSend:
        return send(op);
      case Op::Kind::kReceive:
        return receive(op);
      case Op::Kind::kWait:
        return wait();
    }
  }

 private:
  using Key = std::tuple<Direction, int, int>;
  struct Transfer {
    at::Tensor tensor;
    comm::Pending pending;
  };

  static Key key(const Op& op) { return {op.direction, op.chunk, op.micro_batch}; }
  static int tag(Direction direction) { return static_cast<int>(direction); }

  void compute(const Op& op) {
    const at::Tensor input = take_incoming(op);
    const bool forward = op.direction == Direction::kForward;
    const ActivityRange range(
        activity_, {forward ? Doing::kForward : Doing::kBackward,
                    forward ? "forward" : "backward", op.chunk, op.micro_batch});
    result_ = forward ? model_.forward(op.chunk, op.micro_batch, input)
                      : model_.backward(op.chunk, op.micro_batch, input);
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
    MT_CHECK(result_.defined(), "nothing to send after ", to_string(op));
    forget_finished_sends();
    sends_.push_back(pipeline_.start_send(std::move(result_), peer, tag(op.direction)));
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
  at::Tensor result_;
  std::map<Key, Transfer> incoming_;
  std::vector<comm::Pending> sends_;
};

}  // namespace

void run_schedule(const std::vector<Op>& ops, const ScheduleShape& shape,
                  PipelineModel& model, comm::Communicator& pipeline,
                  Activity& activity) {
  Executor executor(shape, model, pipeline, activity);
  for (const Op& op : ops) executor.run(op);
}

}  // namespace mtrain::parallel
