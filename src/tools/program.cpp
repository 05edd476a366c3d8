// The frame of mtrain, mprep and mconvert: one session, one catch.
#include "program.hpp"

#include <ATen/Parallel.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"

namespace mtrain::tools {
namespace {

/// Ranks on one machine share its cores.
void share_cores(const comm::Session& session) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(std::max(1, cores / session.local_size()));
}

void report(const Error& error) {
  log::error(error.what());
  if (!error.remedy().empty()) log::error("remedy: " + error.remedy());
}

/// What "~" stands for: HOME, else what the system knows of the user, else itself.
std::string home_folder() {
  if (const char* home = std::getenv("HOME")) return home;
  const passwd* user = getpwuid(getuid());
  return user ? user->pw_dir : "~";
}

/// Ends in order when every rank has the same error, else takes the others down.
int fail(const comm::Session& session, const Error& error) {
  const bool all_know = error.on_all_ranks() || session.world_size() == 1;
  // The message names the rank itself where only some have the fault.
  if (all_know) log::set_prefix("");
  if (!all_know || session.rank() == 0) report(error);
  if (!all_know) session.abort(error.exit_code());
  return error.exit_code();
}

}  // namespace

int run_program(int argc, char** argv, Program program) {
  const comm::Session session(&argc, &argv);
  if (session.rank() != 0) log::set_level(log::Level::kError);
  if (session.world_size() > 1) log::set_prefix(cat("rank ", session.rank()));
  share_cores(session);
  try {
    return program(session, argc, argv);
  } catch (const Error& error) {
    return fail(session, error);
  } catch (const std::bad_alloc&) {
    return fail(session, Error("out of memory", "use more ranks or smaller batches"));
  } catch (const std::exception& error) {
    return fail(session, Error(error.what()));
  }
}

config::ParsedDeck read_deck(const comm::Session& session,
                             const config::CommandLine& line, config::Purpose purpose) {
  config::DeckText deck;
  session.agree([&] {
    if (session.rank() == 0) deck = config::read_deck_file(line.deck);
  });
  deck.name = session.broadcast_text(deck.name);
  deck.text = session.broadcast_text(deck.text);
  config::ParsedDeck parsed;
  session.agree([&] { parsed = config::parse_deck(deck, line.overrides, purpose); });
  config::expand_home(parsed, session.broadcast_text(home_folder()));
  for (const auto& warning : parsed.warnings) log::warning(warning);
  return parsed;
}

}  // namespace mtrain::tools
