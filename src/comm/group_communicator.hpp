// What other layers hold as Communicator: checks the arguments, notes the operation among
// what the rank does, then hands it to the backend of the tensors' device.
#pragma once

#include <map>

#include "mtrain/base/activity.hpp"
#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

class GroupCommunicator : public Communicator {
 public:
  /// `device` carries CUDA tensors; where it is null `host` carries all. `ranks` of the
  /// world make the group.
  GroupCommunicator(std::unique_ptr<Communicator> host,
                    std::unique_ptr<Communicator> device, std::vector<int> ranks,
                    Activity& activity);

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
  /// What `start` starts, noted as the lane's next operation. A group of one rank waits
  /// for nobody and notes nothing.
  template <class Start>
  Pending noted(int lane, OperationKind kind, const at::Tensor& x, const Start& start);
  /// The lane of transfers to (or from) `peer` under `tag`.
  int channel(int peer, int tag, bool receives);

  // The device's communicator may use the host's, so it goes first.
  std::unique_ptr<Communicator> host_, device_;
  std::vector<int> ranks_;
  Activity& activity_;
  int collectives_;
  std::map<std::tuple<int, int, bool>, int> channels_;
};

}  // namespace mtrain::comm
