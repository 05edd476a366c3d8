// What the three programs share: start, error reporting, end.
#pragma once

#include "mtrain/base/error.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/command_line.hpp"

namespace mtrain::tools {

using Program = ExitCode (*)(const comm::Session& session, int argc, char** argv);

/// Starts MPI, runs `program`, and turns an error into one message and an exit code on
/// every rank. Returns the exit code, the program's own where it ends without error.
int run_program(int argc, char** argv, Program program);

/// Reads the deck on rank 0 and parses it on all; warnings are logged. Collective.
config::ParsedDeck read_deck(const comm::Session& session,
                             const config::CommandLine& line, config::Purpose purpose);

}  // namespace mtrain::tools
