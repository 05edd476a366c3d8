// What the launcher of a program says of the number of its processes.
#pragma once

#include "mtrain/comm/session.hpp"

namespace mtrain::tools {

/// Refuses to do the whole work in each of several processes that MPI does not connect:
/// throws UserError where a launcher started more than one but MPI has one rank.
void require_connected_ranks(const comm::Session& session);

}  // namespace mtrain::tools
