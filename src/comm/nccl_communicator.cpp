// Collectives, all-to-all and transfers over NCCL; made by make_device_communicator.
#include "nccl_communicator.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::comm {
namespace {

/// Checkpoints and lazy file systems make ranks late by minutes.
constexpr std::chrono::minutes kPatience{10};
/// A transfer that waits for its peer occupies its thread blocks. Four carry about
/// 80 GB/s over NVLink, which compute hides, and leave the rest to it.
constexpr int kChannelCtas = 4;

/// A new id, made by rank `root`, known to all ranks of `host`.
ncclUniqueId shared_id(Communicator& host, int root) {
  ncclUniqueId id{};
  if (host.rank() == root && ncclGetUniqueId(&id) != ncclSuccess) {
    throw Error(
        cat("NCCL: no id for group ", host.name(), ": ", ncclGetLastError(nullptr)),
        "NCCL_DEBUG=INFO makes NCCL tell more");
  }
  host.broadcast(
      at::from_blob(id.internal, {static_cast<int64_t>(sizeof id.internal)}, at::kByte),
      root);
  return id;
}

ncclRedOp_t nccl_op(Reduce op) {
  return op == Reduce::kSum ? ncclSum : ncclMax;
}

char* at_element(const at::Tensor& x, int64_t index) {
  return static_cast<char*>(x.data_ptr()) + index * static_cast<int64_t>(x.itemsize());
}

size_t count(const at::Tensor& x) {
  return static_cast<size_t>(x.numel());
}

}  // namespace

NcclCommunicator::NcclCommunicator(Communicator& host,
                                   const std::vector<Channel>& channels)
    : Communicator(host.name(), host.rank(), host.size()) {
  const NcclEnds ends{shared_id(host, 0), rank(), size(), 0, kPatience};
  all_ = std::make_unique<NcclLink>(name(), ends);
  connect_channels(host, channels);
  warm_up();
}

/// All links connect at the same time.
void NcclCommunicator::connect_channels(Communicator& host,
                                        const std::vector<Channel>& channels) {
  for (const Channel& channel : channels) {
    const auto [from, to, tag] = channel;
    const ncclUniqueId id = shared_id(host, from);
    if (rank() != from && rank() != to) continue;
    const NcclEnds ends{id, rank() == from ? 0 : 1, 2, kChannelCtas, kPatience};
    const auto label = cat(name(), ", from rank ", from, " to ", to, ", tag ", tag);
    channels_.push_back({channel, std::make_unique<NcclLink>(label, ends)});
  }
  all_->connect();
  for (const auto& [channel, link] : channels_) link->connect();
}

/// The order of the channels is that of the list on all ranks, so none waits in a circle.
void NcclCommunicator::warm_up() {
  const at::Tensor x = at::zeros({1}, at::TensorOptions(at::kFloat).device(at::kCUDA));
  const auto reduce = [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllReduce(x.data_ptr(), x.data_ptr(), 1, ncclFloat, ncclSum, comm, stream);
  };
  all_->run("first all-reduce", {x}, reduce);
  for (const auto& [channel, link] : channels_) {
    const bool sends = rank() == channel.from;
    const auto transfer = [&](ncclComm_t comm, cudaStream_t stream) {
      return sends ? ncclSend(x.data_ptr(), 1, ncclFloat, 1, comm, stream)
                   : ncclRecv(x.data_ptr(), 1, ncclFloat, 0, comm, stream);
    };
    link->run("first transfer", {x}, transfer);
  }
}

NcclLink& NcclCommunicator::link(const std::string& operation, const Channel& channel) {
  const auto found = std::find_if(
      channels_.begin(), channels_.end(),
      [&](const ChannelLink& candidate) { return candidate.channel == channel; });
  MT_CHECK(found != channels_.end(), operation, " of group ", name(), " with tag ",
           channel.tag, ": the group was made without this channel");
  return *found->link;
}

ncclDataType_t NcclCommunicator::type_of(const at::Tensor& x,
                                         const std::string& operation) const {
  switch (x.scalar_type()) {
    case at::kFloat:
      return ncclFloat;
    case at::kDouble:
      return ncclDouble;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    default:
      throw Error(
          cat(operation, " in group ", name(), " of ", x.toString(), " over NCCL"));
  }
}

Pending NcclCommunicator::start_all_reduce(at::Tensor x, Reduce op) {
  const auto type = type_of(x, "all-reduce");
  return all_->start("all-reduce", {x}, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllReduce(x.data_ptr(), x.data_ptr(), count(x), type, nccl_op(op), comm,
                         stream);
  });
}

Pending NcclCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  const auto type = type_of(in, "reduce-scatter");
  return all_->start("reduce-scatter", {in, out},
                     [&](ncclComm_t comm, cudaStream_t stream) {
                       return ncclReduceScatter(in.data_ptr(), out.data_ptr(), count(out),
                                                type, ncclSum, comm, stream);
                     });
}

Pending NcclCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  const auto type = type_of(in, "all-gather");
  return all_->start("all-gather", {in, out}, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllGather(in.data_ptr(), out.data_ptr(), count(in), type, comm, stream);
  });
}

Pending NcclCommunicator::start_broadcast(at::Tensor x, int root) {
  const std::string operation = cat("broadcast from rank ", root);
  const auto type = type_of(x, operation);
  return all_->start(operation, {x}, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclBroadcast(x.data_ptr(), x.data_ptr(), count(x), type, root, comm, stream);
  });
}

Pending NcclCommunicator::start_all_to_all(at::Tensor in,
                                           const std::vector<int64_t>& in_rows,
                                           at::Tensor out,
                                           const std::vector<int64_t>& out_rows) {
  const auto type = type_of(in, "all-to-all");
  const int64_t row = c10::multiply_integers(in.sizes().slice(1));
  const auto exchange = [&](ncclComm_t comm, cudaStream_t stream) {
    ncclResult_t result = ncclGroupStart();
    const auto also = [&](ncclResult_t next) {
      if (result == ncclSuccess) result = next;
    };
    int64_t sent = 0, received = 0;
    for (int peer = 0; peer < size(); ++peer) {
      const auto at = static_cast<size_t>(peer);
      const int64_t out_count = in_rows[at] * row, in_count = out_rows[at] * row;
      if (out_count > 0) {
        also(ncclSend(at_element(in, sent), static_cast<size_t>(out_count), type, peer,
                      comm, stream));
      }
      if (in_count > 0) {
        also(ncclRecv(at_element(out, received), static_cast<size_t>(in_count), type,
                      peer, comm, stream));
      }
      sent += out_count;
      received += in_count;
    }
    const ncclResult_t ended = ncclGroupEnd();
    return result == ncclSuccess ? ended : result;
  };
  return all_->start("all-to-all", {in, out}, exchange);
}

Pending NcclCommunicator::start_send(at::Tensor x, int peer, int tag) {
  const std::string operation = cat("send to rank ", peer);
  const auto type = type_of(x, operation);
  return link(operation, {rank(), peer, tag})
      .start(operation, {x}, [&](ncclComm_t comm, cudaStream_t stream) {
        return ncclSend(x.data_ptr(), count(x), type, 1, comm, stream);
      });
}

Pending NcclCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  const std::string operation = cat("receive from rank ", peer);
  const auto type = type_of(x, operation);
  return link(operation, {peer, rank(), tag})
      .start(operation, {x}, [&](ncclComm_t comm, cudaStream_t stream) {
        return ncclRecv(x.data_ptr(), count(x), type, 0, comm, stream);
      });
}

}  // namespace mtrain::comm
