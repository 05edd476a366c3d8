// mtrain: trains a model as a deck says. `mpirun -np N ./mtrain DECK [key=value ...]`.
#include <cstdio>

#include "mtrain/base/log.hpp"
#include "mtrain/config/command_line.hpp"
#include "mtrain/doctor/doctor.hpp"
#include "mtrain/train/run.hpp"
#include "tools/program.hpp"

namespace {

using namespace mtrain;

/// Prints what needs no deck; true when that was all.
bool answered(const config::CommandLine& line) {
  if (line.help) std::fputs(config::help_text(config::Purpose::kTrain).c_str(), stdout);
  if (line.version) std::puts("mtrain " MTRAIN_VERSION);
  if (line.dump_reference) std::fputs(config::deck_reference_markdown().c_str(), stdout);
  return line.help || line.version || line.dump_reference;
}

ExitCode run(const comm::Session& session, int argc, char** argv) {
  // 1. The command line, alike on all ranks.
  config::CommandLine line;
  session.agree(
      [&] { line = config::parse_command_line(config::Purpose::kTrain, argc, argv); });
  if (session.rank() == 0 && answered(line)) return kExitOk;
  if (line.help || line.version || line.dump_reference) return kExitOk;
  if (line.doctor) return doctor::examine(session);

  // 2. The deck: read once, parsed everywhere from the same bytes.
  const int world = line.world_size.value_or(session.world_size());
  const config::ParsedDeck parsed =
      tools::read_deck(session, line, config::Purpose::kTrain,
                       line.plan_search ? std::nullopt : std::optional(world));

  // 3. Either print what would be done, or do it.
  log::info(config::dump_deck(parsed));
  if (line.dump_deck) return kExitOk;
  if (line.plan_search) {
    std::string table;
    session.agree(
        [&] { table = train::search_plans(parsed, *line.plan_search, line.gpu); });
    log::info(table);
    return kExitOk;
  }
  if (line.check) {
    std::string plan;
    session.agree([&] { plan = train::check_run(parsed, world, line.gpu); });
    log::info(plan + "check passed");
    return kExitOk;
  }
  return train::run_training(parsed, session);
}

}  // namespace

int main(int argc, char** argv) {
  return tools::run_program(argc, argv, run);
}
