// Argument checks, notes of what is under way, and the choice of backend for every group;
// made by Session.
#include "group_communicator.hpp"

#include <numeric>

#include "mtrain/base/error.hpp"

namespace mtrain::comm {
namespace {

void require_contiguous(const at::Tensor& x) {
  MT_CHECK(x.is_contiguous(), "communicated tensors must be contiguous");
}

void require_alike(const at::Tensor& in, const at::Tensor& out) {
  require_contiguous(in);
  require_contiguous(out);
  MT_CHECK(in.scalar_type() == out.scalar_type() && in.device() == out.device(),
           "input of ", in.toString(), " on ", in.device().str(), ", output of ",
           out.toString(), " on ", out.device().str());
}

void require_rows(const at::Tensor& x, const std::vector<int64_t>& rows, int size) {
  const int64_t sum = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  MT_CHECK(static_cast<int>(rows.size()) == size, rows.size(), " row counts for ", size,
           " ranks");
  MT_CHECK(x.dim() > 0 && x.size(0) == sum, "all-to-all of ", sum,
           " rows with a tensor of ", x.numel(), " elements");
}

/// Tells when the rank waits for an operation, and that it is over.
class NotedWork : public Work {
 public:
  /// `on_host`: when the wait returns the operation is over; else only enqueued.
  NotedWork(Pending inner, Activity& activity, int lane, int64_t number, bool on_host)
      : inner_(std::move(inner)),
        activity_(activity),
        lane_(lane),
        number_(number),
        on_host_(on_host) {}
  ~NotedWork() override {
    if (!over_) around([this] { inner_.reset(); });
  }

  void wait() override {
    if (over_) return inner_->wait();
    over_ = true;
    around([this] { inner_->wait(); });
  }

  bool done() override {
    if (!inner_->done()) return false;
    if (!over_) activity_.waited(lane_, number_, true);
    over_ = true;
    return true;
  }

 private:
  /// After an error the rank is left where it was: waiting.
  template <class Wait>
  void around(const Wait& wait) {
    activity_.waits(lane_, number_);
    wait();
    activity_.waited(lane_, number_, on_host_);
  }

  Pending inner_;
  Activity& activity_;
  int lane_;
  int64_t number_;
  bool on_host_, over_ = false;
};

}  // namespace

GroupCommunicator::GroupCommunicator(std::unique_ptr<Communicator> host,
                                     std::unique_ptr<Communicator> device,
                                     std::vector<int> ranks, Activity& activity)
    : Communicator(host->name(), host->rank(), host->size()),
      host_(std::move(host)),
      device_(std::move(device)),
      ranks_(std::move(ranks)),
      activity_(activity),
      collectives_(activity.add_lane({host_->name(), ranks_})) {}

template <class Start>
Pending GroupCommunicator::noted(int lane, OperationKind kind, const at::Tensor& x,
                                 const Start& start) {
  if (size() == 1) return start(of(x));
  const int64_t number = activity_.starts(lane, kind, x.numel());
  const bool on_host = !(x.is_cuda() && device_);
  return std::make_unique<NotedWork>(start(of(x)), activity_, lane, number, on_host);
}

int GroupCommunicator::channel(int peer, int tag, bool receives) {
  const auto key = std::make_tuple(peer, tag, receives);
  const auto found = channels_.find(key);
  if (found != channels_.end()) return found->second;
  const int own = ranks_[static_cast<size_t>(rank())],
            other = ranks_[static_cast<size_t>(peer)];
  const int from = receives ? other : own, to = receives ? own : other;
  return channels_[key] =
             activity_.add_lane({name(), {from, to}, from, to, tag, receives});
}

Communicator& GroupCommunicator::of(const at::Tensor& x) const {
  return x.is_cuda() && device_ ? *device_ : *host_;
}

void GroupCommunicator::require_peer(const char* operation, int peer) const {
  MT_CHECK(peer >= 0 && peer < size() && peer != rank(), operation, " rank ", peer,
           " of group ", name(), " by rank ", rank(), " of ", size());
}

Pending GroupCommunicator::start_all_reduce(at::Tensor x, Reduce op) {
  require_contiguous(x);
  return noted(collectives_, OperationKind::kAllReduce, x,
               [&](Communicator& backend) { return backend.start_all_reduce(x, op); });
}

Pending GroupCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  require_alike(in, out);
  MT_CHECK(in.numel() == out.numel() * size(), "reduce-scatter of ", in.numel(), " into ",
           out.numel(), " over ", size());
  return noted(
      collectives_, OperationKind::kReduceScatter, in,
      [&](Communicator& backend) { return backend.start_reduce_scatter(in, out); });
}

Pending GroupCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  require_alike(in, out);
  MT_CHECK(out.numel() == in.numel() * size(), "all-gather of ", in.numel(), " into ",
           out.numel(), " over ", size());
  return noted(collectives_, OperationKind::kAllGather, out,
               [&](Communicator& backend) { return backend.start_all_gather(in, out); });
}

Pending GroupCommunicator::start_broadcast(at::Tensor x, int root) {
  require_contiguous(x);
  MT_CHECK(root >= 0 && root < size(), "broadcast from rank ", root, " of ", size());
  return noted(collectives_, OperationKind::kBroadcast, x,
               [&](Communicator& backend) { return backend.start_broadcast(x, root); });
}

Pending GroupCommunicator::start_all_to_all(at::Tensor in,
                                            const std::vector<int64_t>& in_rows,
                                            at::Tensor out,
                                            const std::vector<int64_t>& out_rows) {
  require_alike(in, out);
  require_rows(in, in_rows, size());
  require_rows(out, out_rows, size());
  return noted(collectives_, OperationKind::kAllToAll, in, [&](Communicator& backend) {
    return backend.start_all_to_all(in, in_rows, out, out_rows);
  });
}

Pending GroupCommunicator::start_send(at::Tensor x, int peer, int tag) {
  require_contiguous(x);
  require_peer("send to", peer);
  return noted(channel(peer, tag, false), OperationKind::kSend, x,
               [&](Communicator& backend) { return backend.start_send(x, peer, tag); });
}

Pending GroupCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  require_contiguous(x);
  require_peer("receive from", peer);
  return noted(
      channel(peer, tag, true), OperationKind::kReceive, x,
      [&](Communicator& backend) { return backend.start_receive(x, peer, tag); });
}

}  // namespace mtrain::comm
