// The helper thread of each rank; the trainer holds a Watchdog while it runs.
#include "mtrain/watch/watchdog.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "describe.hpp"
#include "hub.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/quiet_thread.hpp"
#include "mtrain/base/timer.hpp"
#include "patience.hpp"

namespace mtrain::watch {
namespace {

/// A rank hears nothing of rank 0 while its connection lasts: it is broken this long.
constexpr double kGraceAfterEnd = 3;

std::string new_token() {
  std::random_device random;
  return cat(std::hex, random(), random());
}

/// One text of rank 0: its port, its token, its addresses.
std::string meeting_point(const Hub& hub, const std::string& token) {
  return cat(hub.port(), " ", token, " ", join(own_addresses(), " "));
}

}  // namespace

struct Watchdog::Impl {
  Impl(const comm::Session& session, const Options& options);
  ~Impl();

  void meet(const comm::Session& session);
  void set(const Options& given);
  void run();
  bool watches();
  void look_as_hub(double seconds);
  void look_as_member(double seconds);
  void take(const std::string& line);
  void mind_the_hub(double seconds);
  Standing standing() const;
  void dump(const std::string& sentence) const;
  [[noreturn]] void end(const std::string& sentence, bool tells);
  void say(const std::string& sentence) const;
  std::string explain();

  Options options;                ///< of the helper thread while it runs
  std::optional<Options> wanted;  ///< what they shall become
  Activity& activity;
  int rank, world;
  std::vector<RankName> names;
  Patience patience;
  std::optional<Hub> hub;    // of rank 0
  std::optional<Link> link;  // of the others
  double hub_silent = 0, hub_gone = 0;

  std::atomic<bool> stop = false, watching = false, wants_reason = false;
  std::mutex mutex;
  std::condition_variable told;
  std::optional<std::string> reason;
  std::thread thread;
};

Watchdog::Impl::Impl(const comm::Session& session, const Options& given)
    : options(given),
      activity(session.activity()),
      rank(session.rank()),
      world(session.world_size()),
      patience(given.floor) {
  if (options.floor <= 0) return;
  for (const auto& text : session.all_gather_text(to_text(own_name())))
    names.push_back(name_from_text(text));
  meet(session);
  thread = quiet_thread([this] { run(); });
}

void Watchdog::Impl::meet(const comm::Session& session) {
  const std::string token = new_token();
  session.agree([&] {
    if (rank == 0) hub.emplace(token, options.floor, names);
  });
  const auto point =
      split(session.broadcast_text(rank == 0 ? meeting_point(*hub, token) : ""), ' ');
  if (rank != 0) {
    constexpr double kSecondsEach = 2;
    link = connect({point.begin() + 2, point.end()}, std::stoi(point[0]), kSecondsEach);
    if (link) link->send(cat("hello ", point[1], " ", rank));
  }
  const auto connected = session.all_gather_text(rank == 0 || link ? "yes" : "no");
  for (int r = 1; hub && r < world; ++r) {
    if (connected[static_cast<size_t>(r)] == "yes") continue;
    hub->leave_out(r);
    log::warning(cat("rank ", r, " cannot reach rank 0 over TCP (",
                     join(own_addresses(), ", "), "): hangs there will not be found"));
  }
}

Watchdog::Impl::~Impl() {
  stop = true;
  if (thread.joinable()) thread.join();
}

void Watchdog::Impl::set(const Options& given) {
  const std::lock_guard lock(mutex);
  wanted = given;
}

/// Takes new options; false once nobody shall watch.
bool Watchdog::Impl::watches() {
  const std::lock_guard lock(mutex);
  if (wanted) {
    options = *wanted;
    wanted.reset();
    patience.set_floor(options.floor);
    if (hub) hub->set_floor(options.floor);
  }
  return options.floor > 0 && !stop;
}

void Watchdog::Impl::run() {
  Stopwatch since_look;
  watching = true;
  while (watches() && (hub || link)) {
    const double interval = std::clamp(options.floor / 20, 0.05, 3.0);
    if (hub) {
      // Beats come one by one; a look for each of them would be too many.
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(interval, 0.1)));
    } else {
      wait_for(
          link && link->open() ? std::vector<int>{link->socket()} : std::vector<int>{},
          interval);
    }
    // In longer pauses this process was suspended, or had no processor.
    const double seconds = std::min(since_look.restart(), 2 * interval);
    patience.look(activity, seconds);
    if (hub)
      look_as_hub(seconds);
    else
      look_as_member(seconds);
  }
  watching = false;
  if (hub) hub->tell_all("bye");
  if (link) link->send("bye");
}

Standing Watchdog::Impl::standing() const {
  return {patience.idle(), patience.limit(), place_of(activity.moment())};
}

void Watchdog::Impl::look_as_hub(double seconds) {
  if (wants_reason.exchange(false)) hub->ask();
  const auto sentence =
      hub->look(seconds, standing(), [this] { return activity.moment(); });
  if (const auto answer = hub->answer()) {
    const std::lock_guard lock(mutex);
    reason = answer;
    told.notify_all();
  }
  if (sentence) end(*sentence, true);
}

void Watchdog::Impl::look_as_member(double seconds) {
  if (!link) return;
  const Standing now = standing();
  link->send(cat("beat ", now.idle, " ", now.limit, " ", now.place));
  if (wants_reason.exchange(false)) link->send("why");
  link->receive();
  hub_silent += seconds;
  while (const auto line = link->next()) {
    hub_silent = 0;
    take(*line);
  }
  mind_the_hub(seconds);
}

void Watchdog::Impl::take(const std::string& line) {
  const std::string word = line.substr(0, line.find(' '));
  const std::string rest = line.substr(std::min(word.size() + 1, line.size()));
  if (word == "tell")
    link->send(cat("moment ", patience.idle(), " ", to_json(activity.moment()).dump()));
  if (word == "end") end(rest, false);
  if (word == "bye") link.reset();
  if (word != "because") return;
  const std::lock_guard lock(mutex);
  reason = rest;
  told.notify_all();
}

/// Rank 0 may be the one that hangs, or is gone.
void Watchdog::Impl::mind_the_hub(double seconds) {
  if (!link) return;
  if (!link->open()) hub_gone += seconds;
  // One after the other, so that mostly one rank speaks.
  const double turn = 0.3 * std::min(rank - 1, 10);
  const bool silent = hub_silent > silence_limit(options.floor, patience.limit()) + turn;
  const bool gone = hub_gone > kGraceAfterEnd + turn;
  if (!silent && !gone) return;
  const std::string state = process_state(names[0]);
  end(cat(describe(0, names[0]),
          gone ? cat(" has ended without a word")
               : cat(" has not answered for ", std::round(hub_silent), " s"),
          state.empty() ? "" : cat(" (its process is ", state, ")"), "; rank ", rank,
          " has been in ", place_of(activity.moment()), " for ",
          std::round(patience.idle() * 10) / 10, " s"),
      true);
}

void Watchdog::Impl::dump(const std::string& sentence) const {
  if (options.dump_folder.empty()) return;
  char name[32];
  std::snprintf(name, sizeof name, "rank-%05d.json", rank);
  std::error_code ignored;
  std::filesystem::create_directories(options.dump_folder, ignored);
  nlohmann::json json = to_json(activity.moment());
  json["rank"] = describe(rank, names[static_cast<size_t>(rank)]);
  json["place"] = place_of(activity.moment());
  json["idle_seconds"] = patience.idle();
  json["verdict"] = sentence;
  std::ofstream(options.dump_folder / name) << json.dump(1) << "\n";
}

void Watchdog::Impl::say(const std::string& sentence) const {
  log::set_prefix("");
  log::error("hang: " + sentence);
  const std::string folder = options.dump_folder.string();
  log::error(
      cat("remedy: ",
          folder.empty() ? "" : cat("what each rank was doing is in ", folder, "; "),
          "the same command goes on (key hang_timeout sets how long the watchdog "
          "waits)"));
}

/// The main thread may hold any lock, so nothing is torn down.
void Watchdog::Impl::end(const std::string& sentence, bool tells) {
  if (tells) say(sentence);
  if (hub) hub->tell_all("end " + sentence);
  dump(sentence);
  if (link) link->send("dumped");
  constexpr double kSecondsToDump = 1;
  const Stopwatch since;
  while (since.seconds() < kSecondsToDump && !(hub && hub->all_dumped())) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (hub) hub->look(0, standing(), [this] { return activity.moment(); });
  }
  std::_Exit(kExitFailure);
}

std::string Watchdog::Impl::explain() {
  std::unique_lock lock(mutex);
  if (!watching) return "";
  reason.reset();
  wants_reason = true;
  constexpr std::chrono::seconds kPatience{8};
  told.wait_for(lock, kPatience, [this] { return reason.has_value(); });
  return reason.value_or("");
}

Watchdog::Watchdog(const comm::Session& session, const Options& options)
    : impl_(std::make_unique<Impl>(session, options)) {}
Watchdog::~Watchdog() = default;

void Watchdog::set(const Options& options) {
  impl_->set(options);
}

std::string Watchdog::explain() {
  return impl_->explain();
}

}  // namespace mtrain::watch
