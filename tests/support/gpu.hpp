// Which GPU a rank of a test program uses, and whether it can.
#pragma once

#include <cstdlib>
#include <string>

#include "mtrain/base/text.hpp"
#include "mtrain/comm/session.hpp"

#ifdef MTRAIN_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <nccl.h>
#endif

namespace mtrain::test {

#ifdef MTRAIN_CUDA

/// Makes one of the machine's GPUs the current one; -1 where there is none.
inline int gpu_of(const comm::Session& session) {
  const int gpus = c10::cuda::device_count();
  if (gpus == 0) return -1;
  const int gpu = session.local_rank() % gpus;
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(gpu));
  return gpu;
}

/// Why tests on `gpu` cannot run here, or nothing.
inline std::string what_is_missing(const comm::Session& session, int gpu,
                                   comm::Backend backend) {
  if (gpu < 0) return "no GPU";
  const bool shared = session.local_size() > c10::cuda::device_count();
  if (backend == comm::Backend::kMpi || !shared) return {};
  int version = 0;
  ncclGetVersion(&version);
  if (version < NCCL_VERSION(2, 30, 0)) {
    return cat("ranks share a GPU, which takes NCCL 2.30 or later; loaded is ", version);
  }
  const char* allowed = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return allowed && std::string(allowed) == "1"
             ? ""
             : "ranks share a GPU, which takes NCCL_MULTI_RANK_GPU_ENABLE=1";
}

#else

inline int gpu_of(const comm::Session&) {
  return -1;
}
inline std::string what_is_missing(const comm::Session&, int, comm::Backend) {
  return "no GPU in a program built without CUDA";
}

#endif

}  // namespace mtrain::test
