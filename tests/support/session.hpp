// The MPI session of a test program, and what its tensors live on and travel over.
#pragma once

#include <ATen/core/Tensor.h>

#include <numeric>
#include <vector>

#include "mtrain/comm/session.hpp"

namespace mtrain::test {

const comm::Session& session();

/// All ranks, in order.
inline std::vector<int> everyone() {
  std::vector<int> ranks(static_cast<size_t>(session().world_size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

/// The host; on a GPU machine what the program was started with (mpi_main.hpp).
at::Device device();
comm::Backend backend();
/// Options of tensors there.
inline at::TensorOptions on_device(at::ScalarType type) {
  return at::TensorOptions(type).device(device());
}

}  // namespace mtrain::test
