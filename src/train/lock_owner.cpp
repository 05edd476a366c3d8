// Describes processes in lock files and looks whether they live; used by OutputLock.
#include "lock_owner.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "mtrain/base/text.hpp"

namespace mtrain::train {
namespace {

using Json = nlohmann::ordered_json;

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text ? text : "";
}

std::string host_name() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return host;
}

/// Process numbers mean the same to two processes only within one of these.
std::string this_machine() {
  std::error_code none;
  const auto space = std::filesystem::read_symlink("/proc/self/ns/pid", none);
  return cat(first_line("/proc/sys/kernel/random/boot_id"), " ", space.string());
}

struct ProcessFacts {
  std::string state, started;
};

/// What the kernel says of a process; empty where there is none.
ProcessFacts facts_of(int process) {
  const std::string line = first_line(cat("/proc/", process, "/stat"));
  // Fields are counted behind the program's name, which may hold blanks.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(line.substr(name_end + 1));
  constexpr size_t kState = 0, kStarted = 19;
  std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
  if (words.size() <= kStarted) return {};
  return {words[kState], words[kStarted]};
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm fields{};
  localtime_r(&now, &fields);
  char text[32];
  std::strftime(text, sizeof text, "%F %T", &fields);
  return text;
}

}  // namespace

LockOwner this_process() {
  std::random_device random;
  return {
      first_line("/proc/self/comm"),   host_name(),    getpid(),
      facts_of(getpid()).started,      this_machine(), variable("SLURM_JOB_ID"),
      variable("SLURM_RESTART_COUNT"), time_of_day(),  cat(std::hex, random(), random())};
}

std::string to_text(const LockOwner& o, int64_t beat) {
  char number[24];
  std::snprintf(number, sizeof number, "%012lld", static_cast<long long>(beat));
  return Json{{"program", o.program}, {"host", o.host},       {"process", o.process},
              {"started", o.started}, {"machine", o.machine}, {"job", o.job},
              {"restart", o.restart}, {"since", o.since},     {"id", o.id},
              {"beat", number}}
             .dump(-1, ' ', true, Json::error_handler_t::replace) +
         "\n";
}

std::optional<LockOwner> owner_from_text(const std::string& text) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto word = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const auto process = json.find("process");
  if (process == json.end() || !process->is_number_integer() || word("id").empty())
    return std::nullopt;
  return LockOwner{word("program"), word("host"),    process->get<int>(),
                   word("started"), word("machine"), word("job"),
                   word("restart"), word("since"),   word("id")};
}

std::string describe(const LockOwner& owner) {
  return cat(owner.program.empty() ? "a program" : owner.program, ", process ",
             owner.process, " on host ", owner.host,
             owner.job.empty() ? "" : cat(" (job ", owner.job, ")"), ", since ",
             owner.since);
}

Life life_of(const LockOwner& owner) {
  const LockOwner self = this_process();
  // A batch system starts a job again only when the start before has ended.
  if (!owner.job.empty() && owner.job == self.job && owner.restart != self.restart)
    return Life::kGone;
  if (owner.host != self.host || owner.machine != self.machine) return Life::kUnknown;
  if (self.started.empty())  // without /proc
    return kill(owner.process, 0) == 0 || errno == EPERM ? Life::kAlive : Life::kGone;
  const ProcessFacts facts = facts_of(owner.process);
  const bool dead = facts.state == "Z" || facts.state == "X";
  return !dead && facts.started == owner.started ? Life::kAlive : Life::kGone;
}

}  // namespace mtrain::train
