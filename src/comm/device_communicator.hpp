// Makes the part of a group that carries CUDA tensors.
#pragma once

#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

/// Before the first use of a GPU.
void prepare_devices();
/// See Session.
void prepare_for_pipeline();

/// For the ranks of `host`, which must outlive it. Null in a program built without CUDA.
/// Collective over the group. `channels`: see Session::make_group.
std::unique_ptr<Communicator> make_device_communicator(
    Backend backend, Communicator& host, const std::vector<Channel>& channels);

}  // namespace mtrain::comm
