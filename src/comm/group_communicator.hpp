// What other layers hold as Communicator: checks the arguments, then hands the operation
// to the backend of the tensors' device.
#pragma once

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

class GroupCommunicator : public Communicator {
 public:
  /// `device` carries CUDA tensors; where it is null `host` carries all.
  GroupCommunicator(std::unique_ptr<Communicator> host,
                    std::unique_ptr<Communicator> device);

  Pending start_all_reduce(at::Tensor x, Reduce op) override;
  Pending start_reduce_scatter(at::Tensor in, at::Tensor out) override;
  Pending start_all_gather(at::Tensor in, at::Tensor out) override;
  Pending start_broadcast(at::Tensor x, int root) override;
  Pending start_all_to_all(at::Tensor in, const std::vector<int64_t>& in_rows,
                           at::Tensor out, const std::vector<int64_t>& out_rows) override;
  Pending start_send(at::Tensor x, int peer, int tag) override;
  Pending start_receive(at::Tensor x, int peer, int tag) override;

 private:
  void require_peer(const char* operation, int peer) const;
  /// The backend for `x`.
  Communicator& of(const at::Tensor& x) const;

  // The device's communicator may use the host's, so it goes first.
  std::unique_ptr<Communicator> host_, device_;
};

}  // namespace mtrain::comm
