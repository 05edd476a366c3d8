// Counts what LibTorch allocates for tensors in host memory, as its allocator of a GPU
// does there.
#pragma once

#include <cstdint>

namespace mtrain::train {

/// From now on tensors in host memory are counted, and one that finds no room throws
/// c10::OutOfMemoryError. May be called again.
void count_host_tensors();

/// Largest number of bytes that counted tensors held at one time.
int64_t peak_host_tensor_bytes();

}  // namespace mtrain::train
