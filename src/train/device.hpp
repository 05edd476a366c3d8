// Which device a rank computes on, and what its memory did.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// Chooses the rank's device and makes it the current one: the GPU number local rank
/// modulo the GPUs this process sees, or the CPU. Throws UserError when device = cuda and
/// there is none.
at::Device open_device(const config::Parallel& parallel, const comm::Session& session);

/// What carries device tensors between ranks: NCCL on GPUs, unless the deck says MPI.
/// Throws UserError for nccl on a CPU.
comm::Backend choose_backend(config::Backend wanted, at::Device device);

/// Largest number of bytes the process held so far: of tensors on a GPU, of all memory on
/// a CPU.
int64_t peak_memory_bytes(at::Device device);

/// The same of tensors alone on every device; on a CPU of those made since it was opened.
int64_t peak_tensor_bytes(at::Device device);

}  // namespace mtrain::train
