// The MPI backend of CUDA tensors; made by make_device_communicator.
#include "staged_communicator.hpp"

#include <ATen/ATen.h>

namespace mtrain::comm {
namespace {

/// Host memory for `x`. Its allocator hands it out again only when copies from it that
/// were enqueued are over.
at::Tensor host_buffer(const at::Tensor& x) {
  return at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true));
}

/// A copy of `x` on the host, complete on return.
at::Tensor host_copy(const at::Tensor& x) {
  return host_buffer(x).copy_(x);
}

class StagedWork : public Work {
 public:
  /// `device` gets what `host` holds when `transfer` is over.
  StagedWork(Pending transfer, at::Tensor host, at::Tensor device)
      : transfer_(std::move(transfer)),
        host_(std::move(host)),
        device_(std::move(device)) {}
  ~StagedWork() override {
    try {
      wait();
    } catch (const std::exception&) {
      // Whoever needed the result waits and learns of it; nobody does here.
    }
  }

  void wait() override {
    transfer_->wait();
    if (device_.defined()) device_.copy_(host_, /*non_blocking=*/true);
    device_.reset();
    host_.reset();
  }

  bool done() override { return transfer_->done(); }

 private:
  Pending transfer_;
  at::Tensor host_, device_;
};

Pending staged(Pending transfer, const at::Tensor& host, const at::Tensor& device) {
  return std::make_unique<StagedWork>(std::move(transfer), host, device);
}

}  // namespace

Pending StagedCommunicator::start_all_reduce(at::Tensor x, Reduce op) {
  const at::Tensor host = host_copy(x);
  return staged(host_.start_all_reduce(host, op), host, x);
}

// On the host no buffers overlap, whatever they do on the device.
Pending StagedCommunicator::start_reduce_scatter(at::Tensor in, at::Tensor out) {
  const at::Tensor host = host_buffer(out);
  return staged(host_.start_reduce_scatter(host_copy(in), host), host, out);
}

Pending StagedCommunicator::start_all_gather(at::Tensor in, at::Tensor out) {
  const at::Tensor host = host_buffer(out);
  return staged(host_.start_all_gather(host_copy(in), host), host, out);
}

Pending StagedCommunicator::start_broadcast(at::Tensor x, int root) {
  const at::Tensor host = rank() == root ? host_copy(x) : host_buffer(x);
  return staged(host_.start_broadcast(host, root), host, x);
}

Pending StagedCommunicator::start_all_to_all(at::Tensor in,
                                             const std::vector<int64_t>& in_rows,
                                             at::Tensor out,
                                             const std::vector<int64_t>& out_rows) {
  const at::Tensor host = host_buffer(out);
  return staged(host_.start_all_to_all(host_copy(in), in_rows, host, out_rows), host,
                out);
}

Pending StagedCommunicator::start_send(at::Tensor x, int peer, int tag) {
  return host_.start_send(host_copy(x), peer, tag);
}

Pending StagedCommunicator::start_receive(at::Tensor x, int peer, int tag) {
  const at::Tensor host = host_buffer(x);
  return staged(host_.start_receive(host, peer, tag), host, x);
}

}  // namespace mtrain::comm
