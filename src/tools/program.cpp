// The frame of mtrain, mprep and mconvert: one session, one catch.
#include "program.hpp"

#include <ATen/Parallel.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/stop_request.hpp"
#include "mtrain/watch/deadline.hpp"

namespace mtrain::tools {
namespace {

/// Called before the initialisers of the libraries, which take most of a start.
void first_of_all() {
  listen_for_stop();
}
__attribute__((section(".preinit_array"), used)) void (*g_first)() = first_of_all;

/// How long MPI may take to start: ranks load the program from slow disks.
double seconds_to_start() {
  constexpr double kSeconds = 300;
  const char* given = std::getenv("MTRAIN_START_TIMEOUT");
  const double seconds = given ? std::atof(given) : 0;
  return seconds > 0 ? seconds : kSeconds;
}

/// How long ranks that MPI has connected may take to meet, or to part; and hang_timeout
/// until a deck says another.
double seconds_to_meet() {
  return std::min(60.0, seconds_to_start());
}

/// Ranks on one machine share its cores.
void share_cores(const comm::Session& session) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(std::max(1, cores / session.local_size()));
}

void report(const Error& error) {
  log::status("");  // a bar has nothing more to tell
  if (error.exit_code() == kExitRequeue) return log::info(error.what());
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

/// A program between the start of MPI and its end.
int run_ranks(const comm::Session& session, int argc, char** argv, Program program) {
  if (session.rank() != 0) log::set_level(log::Level::kError);
  if (session.world_size() > 1) log::set_prefix(cat("rank ", session.rank()));
  share_cores(session);
  std::optional<watch::Deadline> meeting(std::in_place, seconds_to_meet(),
                                         "the first meeting of the ranks");
  watch::Watchdog watchdog(session, {seconds_to_meet(), ""});
  meeting.reset();
  try {
    return program({session, watchdog}, argc, argv);
  } catch (const Error& error) {
    return fail(session, error);
  } catch (const std::bad_alloc&) {
    return fail(session, Error("out of memory", "use more ranks or smaller batches"));
  } catch (const std::exception& error) {
    return fail(session, Error(error.what()));
  }
}

int run_program(int argc, char** argv, Program program) {
  std::optional<watch::Deadline> limit(std::in_place, seconds_to_start(),
                                       "the start of MPI (MTRAIN_START_TIMEOUT)");
  const comm::Session session(&argc, &argv);
  limit.reset();
  const int code = run_ranks(session, argc, argv, program);
  limit.emplace(seconds_to_meet(), "the end of MPI");
  return code;
}

config::ParsedDeck read_deck(const Frame& frame, const config::CommandLine& line,
                             config::Purpose purpose) {
  const comm::Session& session = frame.session;
  config::DeckText deck;
  session.agree([&] {
    if (session.rank() == 0) deck = config::read_deck_file(line.deck);
  });
  deck.name = session.broadcast_text(deck.name);
  deck.text = session.broadcast_text(deck.text);
  config::ParsedDeck parsed;
  session.agree([&] { parsed = config::parse_deck(deck, line.overrides, purpose); });
  config::expand_home(parsed, session.broadcast_text(home_folder()));
  frame.watchdog.set({parsed.deck.train.hang_timeout, ""});
  for (const auto& warning : parsed.warnings) log::warning(warning);
  return parsed;
}

}  // namespace mtrain::tools
