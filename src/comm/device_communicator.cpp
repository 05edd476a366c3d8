// The one place that knows whether this program is built for CUDA; called by Session.
#include "device_communicator.hpp"

#include "mtrain/base/error.hpp"

#ifdef MTRAIN_CUDA
#include <cstdlib>

#include "nccl_communicator.hpp"
#include "staged_communicator.hpp"
#endif

namespace mtrain::comm {

#ifdef MTRAIN_CUDA

/// Streams that share one of the device's hardware queues wait for each other: compute
/// would stand behind a receive whose sender waits for that compute. By default there are
/// 8 queues; each channel and each group has a stream.
void prepare_devices() {
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", /*overwrite=*/0);
}

void prepare_for_pipeline() {
  setenv("CUDA_MODULE_LOADING", "EAGER", /*overwrite=*/0);
}

std::unique_ptr<Communicator> make_device_communicator(
    Backend backend, Communicator& host, const std::vector<Channel>& channels) {
  if (backend == Backend::kMpi) return std::make_unique<StagedCommunicator>(host);
  return std::make_unique<NcclCommunicator>(host, channels);
}

#else

void prepare_devices() {}
void prepare_for_pipeline() {}

std::unique_ptr<Communicator> make_device_communicator(Backend backend, Communicator&,
                                                       const std::vector<Channel>&) {
  if (backend == Backend::kMpi) return nullptr;
  throw UserError("NCCL is not part of this program, which was built without CUDA",
                  "backend = mpi, or a build with 'make BUILD=cuda'");
}

#endif

}  // namespace mtrain::comm
