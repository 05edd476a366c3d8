// Argument checks and the choice of backend for every group; made by Session.
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

}  // namespace

GroupCommunicator::GroupCommunicator(std::unique_ptr<Communicator> host,
                                     std::unique_ptr<Communicator> device)
    : Communicator(host->name(), host->rank(), host->size()),
      host_(std::move(host)),
      device_(std::move(device)) {}

Communicator& GroupCommunicator::of(const at::Tensor& x) const {
  return x.is_cuda() && device_ ? *device_ : *host_;
}

void GroupCommunicator::require_peer(const char* operation, int peer) const {
  MT_CHECK(peer >= 0 && peer < size() && peer != rank(), operation, " rank ", peer,
           " of group ", name(), " by rank ", rank(), " of ", size());
}

Pending GroupCommunicator::start_all_reduce(at::Tensor x, Reduce op) {
  require_contiguous(x);
  return of(x).start_all_reduce(x, op);
}

Pending GroupCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  require_alike(in, out);
  MT_CHECK(in.numel() == out.numel() * size(), "reduce-scatter of ", in.numel(), " into ",
           out.numel(), " over ", size());
  return of(in).start_reduce_scatter(in, out);
}

Pending GroupCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  require_alike(in, out);
  MT_CHECK(out.numel() == in.numel() * size(), "all-gather of ", in.numel(), " into ",
           out.numel(), " over ", size());
  return of(in).start_all_gather(in, out);
}

Pending GroupCommunicator::start_broadcast(at::Tensor x, int root) {
  require_contiguous(x);
  MT_CHECK(root >= 0 && root < size(), "broadcast from rank ", root, " of ", size());
  return of(x).start_broadcast(x, root);
}

Pending GroupCommunicator::start_all_to_all(at::Tensor in,
                                            const std::vector<int64_t>& in_rows,
                                            at::Tensor out,
                                            const std::vector<int64_t>& out_rows) {
  require_alike(in, out);
  require_rows(in, in_rows, size());
  require_rows(out, out_rows, size());
  return of(in).start_all_to_all(in, in_rows, out, out_rows);
}

Pending GroupCommunicator::start_send(at::Tensor x, int peer, int tag) {
  require_contiguous(x);
  require_peer("send to", peer);
  return of(x).start_send(x, peer, tag);
}

Pending GroupCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  require_contiguous(x);
  require_peer("receive from", peer);
  return of(x).start_receive(x, peer, tag);
}

}  // namespace mtrain::comm
