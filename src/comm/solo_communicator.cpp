// Operations of a group of one, for tensors of any device; made by Session.
#include "solo_communicator.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::comm {
namespace {

class Done : public Work {
 public:
  void wait() override {}
  bool done() override { return true; }
};

Pending copied(const at::Tensor& from, const at::Tensor& to) {
  if (from.data_ptr() != to.data_ptr()) to.copy_(from.view_as(to));
  return std::make_unique<Done>();
}

}  // namespace

Pending SoloCommunicator::start_all_reduce(at::Tensor, Reduce) {
  return std::make_unique<Done>();
}

Pending SoloCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  return copied(in, out);
}

Pending SoloCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  return copied(in, out);
}

Pending SoloCommunicator::start_broadcast(at::Tensor, int) {
  return std::make_unique<Done>();
}

Pending SoloCommunicator::start_all_to_all(at::Tensor in, const std::vector<int64_t>&,
                                           at::Tensor out, const std::vector<int64_t>&) {
  return copied(in, out);
}

Pending SoloCommunicator::start_send(at::Tensor, int peer, int) {
  throw Error(cat("send to rank ", peer, " of group ", name(), ", which has one rank"));
}

Pending SoloCommunicator::start_receive(at::Tensor, int peer, int) {
  throw Error(
      cat("receive from rank ", peer, " of group ", name(), ", which has one rank"));
}

}  // namespace mtrain::comm
