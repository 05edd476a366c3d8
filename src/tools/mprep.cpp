// mprep: turns datasets into a token store. `./mprep DECK [key=value ...] [--show N]`.
#include <algorithm>
#include <cstdio>

#include "launcher.hpp"
#include "mtrain/base/log.hpp"
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
  std::string text;
  if (line.version) text = "mprep " MTRAIN_VERSION "\n";
  session.agree([&] {
    if (line.help) text = config::help_text(config::Purpose::kPrepare, line.topic);
  });
  if (session.rank() == 0) std::fputs(text.c_str(), stdout);
  if (!text.empty()) return kExitOk;
  if (line.quiet) log::set_level(std::max(log::level(), log::Level::kWarning));
  auto parsed = tools::read_deck(frame, line, config::Purpose::kPrepare);
  train::use_local_models(parsed, session);
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
