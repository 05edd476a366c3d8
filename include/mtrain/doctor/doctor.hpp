// mtrain --doctor: is this machine, and are these ranks, fit to train?
#pragma once

#include "mtrain/base/error.hpp"
#include "mtrain/comm/session.hpp"

namespace mtrain::doctor {

/// Prints one line per examination, with a remedy where something is wrong. Collective.
/// kExitFailure when a line names a fault.
ExitCode examine(const comm::Session& session);

}  // namespace mtrain::doctor
