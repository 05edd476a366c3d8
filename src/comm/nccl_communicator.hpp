// The NCCL backend of Communicator, for CUDA tensors of one device.
#pragma once

#include "mtrain/comm/communicator.hpp"
#include "nccl_link.hpp"

namespace mtrain::comm {

/// Collectives share one NCCL communicator and one stream. Transfers do not: a send keeps
/// its stream until the peer receives, a receive until the peer sends, and what is behind
/// them waits. If two channels shared a stream, stages that send to each other before
/// they receive would wait for each other for ever. So each channel, one direction and
/// one tag between two ranks, is an NCCL communicator of two ranks with its own stream;
/// on it sends and receives meet in order, and nothing else is behind them. Then a
/// schedule that can finish with unbounded buffers finishes here.
class NcclCommunicator : public Communicator {
 public:
  /// Connects the ranks of `host`, exchanging NCCL's ids over it, and runs one operation
  /// on each link, so that nothing is left to connect or allocate. Collective over the
  /// group; the same `channels` everywhere.
  NcclCommunicator(Communicator& host, const std::vector<Channel>& channels);

  Pending start_all_reduce(at::Tensor x, Reduce op) override;
  Pending start_reduce_scatter(at::Tensor in, at::Tensor out) override;
  Pending start_all_gather(at::Tensor in, at::Tensor out) override;
  Pending start_broadcast(at::Tensor x, int root) override;
  Pending start_all_to_all(at::Tensor in, const std::vector<int64_t>& in_rows,
                           at::Tensor out, const std::vector<int64_t>& out_rows) override;
  Pending start_send(at::Tensor x, int peer, int tag) override;
  Pending start_receive(at::Tensor x, int peer, int tag) override;

 private:
  struct ChannelLink {
    Channel channel;
    std::unique_ptr<NcclLink> link;
  };

  void connect_channels(Communicator& host, const std::vector<Channel>& channels);
  void warm_up();
  NcclLink& link(const std::string& operation, const Channel& channel);
  ncclDataType_t type_of(const at::Tensor& x, const std::string& operation) const;

  std::unique_ptr<NcclLink> all_;
  std::vector<ChannelLink> channels_;
};

}  // namespace mtrain::comm
