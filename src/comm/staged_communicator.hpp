// CUDA tensors over a communicator of host tensors, through pinned host memory.
#pragma once

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

/// An operation copies what it sends to the host after the work enqueued on the current
/// stream and waits for that copy; Work::wait() enqueues the copy of the result back on
/// what is the current stream then.
class StagedCommunicator : public Communicator {
 public:
  /// `host` must outlive it.
  explicit StagedCommunicator(Communicator& host)
      : Communicator(host.name(), host.rank(), host.size()), host_(host) {}

  Pending start_all_reduce(at::Tensor x, Reduce op) override;
  Pending start_reduce_scatter(at::Tensor in, at::Tensor out) override;
  Pending start_all_gather(at::Tensor in, at::Tensor out) override;
  Pending start_broadcast(at::Tensor x, int root) override;
  Pending start_all_to_all(at::Tensor in, const std::vector<int64_t>& in_rows,
                           at::Tensor out, const std::vector<int64_t>& out_rows) override;
  Pending start_send(at::Tensor x, int peer, int tag) override;
  Pending start_receive(at::Tensor x, int peer, int tag) override;

 private:
  Communicator& host_;
};

}  // namespace mtrain::comm
