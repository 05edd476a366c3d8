// mprep: turns datasets into a token store. `./mprep DECK [key=value ...] [--show N]`.
#include <cstdio>

#include "launcher.hpp"
#include "mtrain/config/command_line.hpp"
#include "mtrain/train/run.hpp"
#include "program.hpp"

namespace {

using namespace mtrain;

ExitCode run(const tools::Frame& frame, int argc, char** argv) {
  const comm::Session& session = frame.session;
  config::CommandLine line;
  session.agree(
      [&] { line = config::parse_command_line(config::Purpose::kPrepare, argc, argv); });
  if (line.help || line.version) {
    if (session.rank() != 0) return kExitOk;
    if (line.version) std::puts("mprep " MTRAIN_VERSION);
    if (line.help)
      std::fputs(config::help_text(config::Purpose::kPrepare).c_str(), stdout);
    return kExitOk;
  }
  const auto parsed = tools::read_deck(frame, line, config::Purpose::kPrepare);
  session.agree([&] { tools::require_connected_ranks(session); });
  train::prepare_data(parsed, session);
  if (!line.show) return kExitOk;
  session.agree([&] {
    if (session.rank() != 0) return;
    std::fputs(train::show_record(parsed, *line.show).c_str(), stdout);
  });
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return mtrain::tools::run_program(argc, argv, run);
}
