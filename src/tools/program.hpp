// What the three programs share: start, error reporting, end.
#pragma once

#include "mtrain/base/error.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/command_line.hpp"
#include "mtrain/watch/watchdog.hpp"

namespace mtrain::tools {

/// What a program is given: all ranks, connected and watched.
struct Frame {
  const comm::Session& session;
  watch::Watchdog& watchdog;
};
using Program = ExitCode (*)(const Frame& frame, int argc, char** argv);

/// Starts MPI and the watchdog, runs `program`, and turns an error into one message and
/// an exit code on every rank. Returns the exit code, the program's own where it ends
/// without error. SIGTERM and SIGUSR1 only set a flag from the process's first moment on
/// (stop_requested); a program that has nothing to lose calls stop_listening().
int run_program(int argc, char** argv, Program program);

/// Reads the deck on rank 0 and parses it on all; warnings are logged. From then on the
/// watchdog waits as long as it says. Collective.
config::ParsedDeck read_deck(const Frame& frame, const config::CommandLine& line,
                             config::Purpose purpose);

}  // namespace mtrain::tools
