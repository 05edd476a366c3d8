// One NCCL communicator and the stream its operations run on: connecting, starting,
// errors, and an end that never hangs.
#pragma once

#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <chrono>
#include <functional>

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

/// What NcclLink needs to connect its ranks.
struct NcclEnds {
  ncclUniqueId id;
  int rank, size;
  int max_ctas;  ///< thread blocks of an operation at most; 0: as NCCL likes
  std::chrono::milliseconds patience;  ///< how long the other ranks may take
};

/// The host never blocks in NCCL: calls return at once and are polled.
class NcclLink {
 public:
  using Call = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;

  /// Begins to connect, on the current device. `name` is for errors.
  NcclLink(std::string name, const NcclEnds& ends);
  /// In order when all is well; by abort after a failure, while an exception ends this
  /// rank alone, and when operations never finish.
  ~NcclLink();
  NcclLink(const NcclLink&) = delete;
  NcclLink& operator=(const NcclLink&) = delete;

  /// Returns when all ranks are connected.
  void connect();
  /// Runs `call` on this link's stream after what is enqueued on the current stream.
  Pending start(const std::string& operation, std::vector<at::Tensor> tensors,
                const Call& call);
  /// start(), and waits on the host until the operation is over.
  void run(const std::string& operation, std::vector<at::Tensor> tensors,
           const Call& call);
  /// Throws when NCCL has found an error since the last call.
  void check(const std::string& operation);
  bool failed() const { return failed_; }

 private:
  NcclLink(std::string name, std::chrono::milliseconds patience);
  void require(ncclResult_t result, const std::string& operation);
  [[noreturn]] void give_up(const std::string& operation, const std::string& awaited);
  /// NCCL's state once it has none in progress, or ncclInProgress after `patience_`.
  ncclResult_t poll() const;
  void settle(const std::string& operation, const std::string& awaited);
  bool finalized();

  std::string name_;
  std::chrono::milliseconds patience_;
  int exceptions_at_birth_;
  bool failed_ = false;
  c10::cuda::CUDAStream stream_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace mtrain::comm
