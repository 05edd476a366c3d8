// Chooses and describes devices; called when a Trainer is built.
#include "device.hpp"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <sys/resource.h>

#include "host_memory.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

int visible_gpus() {
  return at::hasCUDA() ? at::accelerator::deviceCount() : 0;
}

at::Device open_cpu() {
  count_host_tensors();
  return at::kCPU;
}

}  // namespace

at::Device open_device(const config::Parallel& parallel, const comm::Session& session) {
  const config::Device wanted = parallel.device;
  if (parallel.pipeline_model_parallel_size > 1) session.prepare_for_pipeline();
  if (wanted == config::Device::kCpu) return open_cpu();
  const int gpus = visible_gpus();
  if (gpus == 0) {
    if (wanted == config::Device::kAuto) return open_cpu();
#ifdef MTRAIN_CUDA
    throw UserError("device = cuda, but this process sees no GPU",
                    "check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device = cpu");
#else
    throw UserError("device = cuda, but this program was built without CUDA",
                    "build it with make BUILD=cuda, or use device = cpu");
#endif
  }
  const auto index = static_cast<c10::DeviceIndex>(session.local_rank() % gpus);
  at::accelerator::setDeviceIndex(index);
  // Partial sums of a product stay in fp32 until its end.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  return {at::kCUDA, index};
}

comm::Backend choose_backend(config::Backend wanted, at::Device device) {
  if (wanted == config::Backend::kNccl && device.is_cpu()) {
    throw UserError("backend = nccl needs GPUs, and this run computes on the CPU",
                    "use backend = auto or mpi");
  }
  const bool nccl = !device.is_cpu() && wanted != config::Backend::kMpi;
  return nccl ? comm::Backend::kNccl : comm::Backend::kMpi;
}

int64_t peak_memory_bytes(at::Device device) {
  if (!device.is_cpu()) return peak_tensor_bytes(device);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int64_t peak_tensor_bytes(at::Device device) {
  if (device.is_cpu()) return peak_host_tensor_bytes();
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return at::accelerator::getDeviceStats(device.index()).allocated_bytes[kAll].peak;
}

}  // namespace mtrain::train
