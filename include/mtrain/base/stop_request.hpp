// SIGTERM and SIGUSR1 as a wish to stop, from the first moment of a program on.
#pragma once

#include "mtrain/base/error.hpp"

namespace mtrain {

/// From now on the first of each of the two signals sets a flag instead of ending the
/// process; the second of a kind ends it at once, as if nobody listened. (Slurm sends
/// both kinds one after the other, each meaning the same.)
void listen_for_stop() noexcept;
/// The signals end the process again; what came before is forgotten.
void stop_listening() noexcept;

/// Whether this process was asked; others may not have been.
bool stop_requested() noexcept;

/// The end of a program that was asked to stop before it had anything to save.
class StopRequested : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const override { return kExitRequeue; }
};

/// Throws StopRequested where this process was asked.
void throw_if_stop_requested();

}  // namespace mtrain
