// The communicator of a group of one rank: nothing to send, copies where results differ.
#pragma once

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

class SoloCommunicator : public Communicator {
 public:
  explicit SoloCommunicator(std::string name) : Communicator(std::move(name), 0, 1) {}

  Pending start_all_reduce(at::Tensor x, Reduce op) override;
  Pending start_reduce_scatter(at::Tensor in, at::Tensor out) override;
  Pending start_all_gather(at::Tensor in, at::Tensor out) override;
  Pending start_broadcast(at::Tensor x, int root) override;
  Pending start_all_to_all(at::Tensor in, const std::vector<int64_t>& in_rows,
                           at::Tensor out, const std::vector<int64_t>& out_rows) override;
  Pending start_send(at::Tensor x, int peer, int tag) override;
  Pending start_receive(at::Tensor x, int peer, int tag) override;
};

}  // namespace mtrain::comm
