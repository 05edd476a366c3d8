// Life and errors of one NCCL communicator; used by NcclCommunicator for its collectives
// and for each of its channels.
#include "nccl_link.hpp"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>

#include <exception>
#include <thread>

#include "mtrain/base/error.hpp"

namespace mtrain::comm {
namespace {

using Clock = std::chrono::steady_clock;
using c10::cuda::CUDAEvent;

/// An operation on its way through a link's stream. Waiting holds up the current stream,
/// never the host.
class NcclWork : public Work {
 public:
  NcclWork(NcclLink& link, std::string operation, std::vector<at::Tensor> keep,
           CUDAEvent finished)
      : link_(link),
        operation_(std::move(operation)),
        keep_(std::move(keep)),
        finished_(std::move(finished)) {}
  /// The tensors go back to the allocator of the current stream, which therefore waits.
  ~NcclWork() override {
    try {
      if (!link_.failed() && !keep_.empty()) block_current_stream();
    } catch (const std::exception&) {
      // The device itself has failed; whoever uses it next learns of it.
    }
  }

  void wait() override {
    if (keep_.empty()) return;
    link_.check(operation_);
    block_current_stream();
    keep_.clear();
  }

  bool done() override {
    link_.check(operation_);
    return finished_.query();
  }

 private:
  void block_current_stream() {
    finished_.block(c10::cuda::getCurrentCUDAStream(finished_.device_index()));
  }

  NcclLink& link_;
  std::string operation_;
  std::vector<at::Tensor> keep_;
  CUDAEvent finished_;
};

/// Polls `ready`, at first often; false when `patience` ran out.
template <class Ready>
bool poll_until(std::chrono::milliseconds patience, const Ready& ready) {
  const auto start = Clock::now();
  while (!ready()) {
    const auto spent = Clock::now() - start;
    if (spent > patience) return false;
    if (spent < std::chrono::milliseconds(1)) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
  return true;
}

bool accepted(ncclResult_t result) {
  return result == ncclSuccess || result == ncclInProgress;
}

}  // namespace

NcclLink::NcclLink(std::string name, std::chrono::milliseconds patience)
    : name_(std::move(name)),
      patience_(patience),
      exceptions_at_birth_(std::uncaught_exceptions()),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true)) {}

NcclLink::NcclLink(std::string name, const NcclEnds& ends)
    : NcclLink(std::move(name), ends.patience) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = name_.c_str();
  if (ends.max_ctas > 0) config.maxCTAs = ends.max_ctas;
  require(ncclCommInitRankConfig(&comm_, ends.size, ends.id, ends.rank, &config),
          "connection");
}

NcclLink::~NcclLink() {
  if (comm_ == nullptr) return;
  const bool in_order = !failed_ && std::uncaught_exceptions() == exceptions_at_birth_;
  if (in_order && finalized()) {
    ncclCommDestroy(comm_);
  } else {
    ncclCommAbort(comm_);
  }
}

/// NCCL frees its buffers whether or not operations still run, so these come first.
bool NcclLink::finalized() {
  try {
    return poll_until(patience_, [&] { return stream_.query(); }) &&
           accepted(ncclCommFinalize(comm_)) && poll() == ncclSuccess;
  } catch (const std::exception&) {
    return false;  // The device itself has failed.
  }
}

void NcclLink::connect() {
  settle("connection", "all its ranks");
}

Pending NcclLink::start(const std::string& operation, std::vector<at::Tensor> tensors,
                        const Call& call) {
  for (const auto& x : tensors) {
    MT_CHECK(x.device() == stream_.device(), operation, " in group ", name_,
             ": a tensor on ", x.device().str(), ", the group is on ",
             stream_.device().str());
  }
  const c10::cuda::CUDAGuard guard(stream_.device_index());
  CUDAEvent ready, finished;
  ready.record(c10::cuda::getCurrentCUDAStream());
  ready.block(stream_);
  require(call(comm_, stream_), operation);
  settle(operation, "its peers, as at each first use of a connection");
  finished.record(stream_);
  return std::make_unique<NcclWork>(*this, operation, std::move(tensors),
                                    std::move(finished));
}

void NcclLink::run(const std::string& operation, std::vector<at::Tensor> tensors,
                   const Call& call) {
  const Pending work = start(operation, std::move(tensors), call);
  if (!poll_until(patience_, [&] { return work->done(); })) {
    give_up(operation, "its end");
  }
  work->wait();
}

void NcclLink::check(const std::string& operation) {
  ncclResult_t state = ncclSuccess;
  require(ncclCommGetAsyncError(comm_, &state), operation);
  require(state, operation);
}

ncclResult_t NcclLink::poll() const {
  ncclResult_t state = ncclInProgress;
  poll_until(patience_, [&] {
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    if (asked != ncclSuccess) state = asked;
    return state != ncclInProgress;
  });
  return state;
}

void NcclLink::settle(const std::string& operation, const std::string& awaited) {
  const ncclResult_t state = poll();
  if (state == ncclInProgress) give_up(operation, awaited);
  require(state, operation);
}

void NcclLink::require(ncclResult_t result, const std::string& operation) {
  if (accepted(result)) return;
  failed_ = true;
  throw CommunicationError(
      cat("NCCL: ", operation, " in group ", name_,
          " failed: ", ncclGetErrorString(result), ": ", ncclGetLastError(comm_)),
      "look at the other ranks' messages; NCCL_DEBUG=INFO makes NCCL tell more");
}

void NcclLink::give_up(const std::string& operation, const std::string& awaited) {
  failed_ = true;
  const std::chrono::duration<double> seconds = patience_;
  throw CommunicationError(
      cat("NCCL: ", operation, " in group ", name_, ": waited ", seconds.count(),
          " s for ", awaited),
      "look at the other ranks' messages: one of them probably ended or hangs");
}

}  // namespace mtrain::comm
