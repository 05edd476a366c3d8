// Collectives and point-to-point transfers within one group of ranks, over tensors.
// Every operation can be started and waited for apart: that is what overlap is made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::comm {

/// A failure of MPI or NCCL. The cause is mostly another rank's.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

/// A started operation; it keeps its tensors alive. They must stay untouched until wait()
/// has returned. Destroying one that was not waited for waits. It must not outlive its
/// communicator.
class Work {
 public:
  virtual ~Work() = default;
  /// Returns when the results may be used. Of CUDA tensors: by what is enqueued on the
  /// current stream after this call; with NCCL the host does not wait.
  virtual void wait() = 0;
  /// Whether the operation is over. Never blocks.
  virtual bool done() = 0;
};
using Pending = std::unique_ptr<Work>;

/// Waits for `pending` if there is one, and forgets it.
void finish(Pending& pending);

enum class Reduce { kSum, kMax };

/// What carries CUDA tensors: MPI through pinned host memory, or NCCL. Host tensors go
/// over MPI in either case.
enum class Backend { kMpi, kNccl };

/// One ordered stream of transfers, from one rank of a group to another.
struct Channel {
  int from, to, tag;
  bool operator==(const Channel&) const = default;
};

/// One group of ranks. Calls on one communicator must come in the same order on all its
/// ranks, transfers in the same order at both ends of a channel. Failures throw Error
/// naming the operation, the group and the peer. Tensors are contiguous; those of one
/// operation have one type and one device. Operations on CUDA tensors start after what is
/// enqueued on the current stream.
class Communicator {
 public:
  virtual ~Communicator() = default;

  int rank() const { return rank_; }
  int size() const { return size_; }
  const std::string& name() const { return name_; }

  /// x <- reduction over the ranks, in place.
  virtual Pending start_all_reduce(at::Tensor x, Reduce op) = 0;
  /// out <- this rank's part (1/size of the elements) of the sum of `in` over the ranks.
  /// `out` may be exactly that part of `in`.
  virtual Pending start_reduce_scatter(at::Tensor in, at::Tensor out) = 0;
  /// out <- the ranks' `in`, one after the other. `in` may be exactly this rank's part of
  /// `out`.
  virtual Pending start_all_gather(at::Tensor in, at::Tensor out) = 0;
  /// x <- root's x.
  virtual Pending start_broadcast(at::Tensor x, int root) = 0;
  /// To rank r send in_rows[r] rows of `in`, in rank order; receive out_rows[r] rows from
  /// it.
  virtual Pending start_all_to_all(at::Tensor in, const std::vector<int64_t>& in_rows,
                                   at::Tensor out,
                                   const std::vector<int64_t>& out_rows) = 0;
  /// To and from another rank of the group. Transfers of one channel arrive in the order
  /// they were sent; channels do not wait for each other, and starting never waits for
  /// the peer. NCCL carries only the channels the group was made with.
  virtual Pending start_send(at::Tensor x, int peer, int tag) = 0;
  virtual Pending start_receive(at::Tensor x, int peer, int tag) = 0;

  void all_reduce(at::Tensor x, Reduce op) { start_all_reduce(std::move(x), op)->wait(); }
  void reduce_scatter(at::Tensor in, at::Tensor out) {
    start_reduce_scatter(std::move(in), std::move(out))->wait();
  }
  void all_gather(at::Tensor in, at::Tensor out) {
    start_all_gather(std::move(in), std::move(out))->wait();
  }
  void broadcast(at::Tensor x, int root) { start_broadcast(std::move(x), root)->wait(); }

 protected:
  Communicator(std::string name, int rank, int size)
      : name_(std::move(name)), rank_(rank), size_(size) {}

 private:
  std::string name_;
  int rank_;
  int size_;
};

}  // namespace mtrain::comm
