// The MPI session of a test program.
#pragma once

#include "mtrain/comm/session.hpp"

namespace mtrain::test {

const comm::Session& session();

}  // namespace mtrain::test
