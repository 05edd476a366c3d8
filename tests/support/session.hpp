// The MPI session of a test program, and what its tensors live on and travel over.
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/comm/session.hpp"

namespace mtrain::test {

const comm::Session& session();

/// The host; on a GPU machine what the program was started with (mpi_main.hpp).
at::Device device();
comm::Backend backend();
/// Options of tensors there.
inline at::TensorOptions on_device(at::ScalarType type) {
  return at::TensorOptions(type).device(device());
}

}  // namespace mtrain::test
