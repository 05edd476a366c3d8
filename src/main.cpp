// mtrain: trains a model as a deck says. `mpirun -np N ./mtrain DECK [key=value ...]`.
#include <cstdio>

#include "mtrain/base/log.hpp"
#include "mtrain/base/stop_request.hpp"
#include "mtrain/config/command_line.hpp"
#include "mtrain/doctor/doctor.hpp"
#include "mtrain/train/run.hpp"
#include "tools/launcher.hpp"
#include "tools/program.hpp"

namespace {

using namespace mtrain;

/// What is printed where the command line needs no deck; empty where it does.
std::string answer(const config::CommandLine& line) {
  if (line.help) return config::help_text(config::Purpose::kTrain);
  if (line.version) return "mtrain " MTRAIN_VERSION "\n";
  if (line.dump_reference) return config::deck_reference_markdown();
  if (line.dump_coming_from) return config::coming_from_markdown();
  return {};
}

ExitCode run(const tools::Frame& frame, int argc, char** argv) {
  const comm::Session& session = frame.session;
  // 1. The command line, alike on all ranks.
  config::CommandLine line;
  session.agree(
      [&] { line = config::parse_command_line(config::Purpose::kTrain, argc, argv); });
  const std::string text = answer(line);
  if (session.rank() == 0) std::fputs(text.c_str(), stdout);
  if (!text.empty()) return kExitOk;
  const bool trains =
      !(line.doctor || line.ranks || line.dump_deck || line.plan_search || line.check);
  if (!trains) {
    session.agree(throw_if_stop_requested);
    stop_listening();
  }
  if (line.doctor) {
    session.agree([&] { tools::require_connected_ranks(session); });
    return doctor::examine(session);
  }

  // 2. The deck: read once, parsed everywhere from the same bytes.
  config::ParsedDeck parsed = tools::read_deck(frame, line, config::Purpose::kTrain);

  // 3. Either print what would be done, or do it.
  if (line.ranks) {
    log::info(cat(config::rank_multiple(parsed.deck)));
    return kExitOk;
  }
  session.agree([&] { train::take_from_model(parsed); });
  const int world = line.world_size.value_or(session.world_size());
  if (!line.dump_deck && !line.plan_search)
    session.agree([&] { config::validate_layout(parsed.deck, world); });
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
  session.agree([&] { tools::require_connected_ranks(session); });
  return train::run_training(parsed, session, frame.watchdog);
}

}  // namespace

int main(int argc, char** argv) {
  return tools::run_program(argc, argv, run);
}
