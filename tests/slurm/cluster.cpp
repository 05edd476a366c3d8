// Starts the cluster and submits jobs as a user does; used by the cases of slurm_test.
#include "cluster.hpp"

#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::test {
namespace {

namespace fs = std::filesystem;

constexpr double kPatience = 400;  // seconds; only a loaded machine comes near it

Outcome try_shell(const std::string& command) {
  const std::string whole =
      cat("cd '", MTRAIN_SOURCE_DIR, "' && { ", command, "; } 2>&1 < /dev/null");
  std::FILE* pipe = popen(whole.c_str(), "r");
  MT_CHECK(pipe != nullptr, "cannot run ", command);
  Outcome outcome;
  std::array<char, 4096> buffer;
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    outcome.output.append(buffer.data(), n);
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

std::string script(const std::string& action, const fs::path& dir,
                   const std::string& node) {
  // Daemons must not hold the pipe of this command open.
  return cat("tests/slurm/cluster.sh ", action, " '", dir.string(), "' ", node, " > '",
             dir.string(), "/script.log' 2>&1 || { code=$?; cat '", dir.string(),
             "/script.log'; exit $code; }");
}

/// False when the patience ended.
bool wait_until(const std::function<bool()>& ready) {
  const Stopwatch clock;
  while (!ready()) {
    if (clock.seconds() > kPatience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return true;
}

/// What Open MPI needs where two nodes are one machine, and for tests in general.
void set_environment(const fs::path& conf) {
  const std::vector<std::pair<const char*, std::string>> variables = {
      {"SLURM_CONF", conf.string()},           {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}, {"OMPI_MCA_btl", "self,tcp"},
      {"OMPI_MCA_btl_tcp_if_include", "lo"},   {"OMPI_MCA_oob_tcp_if_include", "lo"},
      {"OMPI_MCA_mpi_yield_when_idle", "1"},   {"OMP_NUM_THREADS", "1"}};
  for (const auto& [name, value] : variables) setenv(name, value.c_str(), 1);
}

}  // namespace

std::string shell(const std::string& command) {
  Outcome outcome = try_shell(command);
  MT_CHECK(outcome.exit_code == 0, command, " ended with ", outcome.exit_code, ": ",
           outcome.output);
  while (outcome.output.ends_with('\n')) outcome.output.pop_back();
  return outcome.output;
}

Cluster::Cluster() : dir_(scratch("slurm-cluster")) {
  constexpr int kNotInstalled = 77;
  const Outcome started = try_shell(script("start", dir_, ""));
  available_ = started.exit_code != kNotInstalled;
  if (!available_) {
    std::fputs(started.output.c_str(), stdout);
    return;
  }
  MT_CHECK(started.exit_code == 0, started.output);
  set_environment(dir_ / "slurm.conf");
}

Cluster::~Cluster() {
  if (available_) try_shell(script("stop", dir_, ""));
}

void Cluster::lose(const std::string& node) const {
  shell(script("lose", dir_, node));
}

void Cluster::bring_back(const std::string& node) const {
  shell(script("node", dir_, node));
}

Job::Job(const TinyRun& run, const std::string& options, const Words& keys,
         const std::string& sbatch, int milliseconds)
    : dir_(run.at("")) {
  slow_down(milliseconds);
  const fs::path program = dir_ / "mtrain";
  write_text(program, cat("#!/bin/bash\nexport LD_PRELOAD=", MTRAIN_SLOW_LOG,
                          "\nexport MTRAIN_SLOW_MS=$(cat ", (dir_ / "slow").string(),
                          ")\nexec ", MTRAIN_BINARY_DIR, "/bin/mtrain \"$@\"\n"));
  fs::permissions(program, fs::perms::owner_all);
  const std::string said = shell(cat(
      "MTRAIN=", program.string(), " slurm/submit.sh --cpu ", options,
      " slurm/qwen3_sft.sbatch ", (dir_ / "deck.ini").string(), " ", join(keys, " "),
      " -- --cpus-per-task=1 --output=", (dir_ / "job-%j.out").string(), " ", sbatch));
  id_ = said.substr(said.rfind(' ') + 1);  // "Submitted batch job 7"
}

void Job::slow_down(int milliseconds) const {
  write_text(dir_ / "slow", cat(milliseconds));
}

std::string Job::output() const {
  const fs::path path = dir_ / cat("job-", id_, ".out");
  return fs::exists(path) ? read_text(path) : "";
}

std::string Job::state() const {
  return shell(
      cat("scontrol -o show job ", id_, " | grep -o ' JobState=[A-Z_]*' | cut -d= -f2"));
}

void Job::await(const std::string& wanted) const {
  const bool reached = wait_until([&] { return state() == wanted; });
  MT_CHECK(reached, "job ", id_, " is ", state(), ", not ", wanted, ":\n", output());
}

void Job::await_output(const std::string& part) const {
  const bool said = wait_until([&] { return output().find(part) != std::string::npos; });
  MT_CHECK(said, "job ", id_, " never said ", part, ":\n", output());
}

void Job::await_steps(const fs::path& folder, size_t steps) const {
  const fs::path log = folder / "trainer_log.jsonl";
  const bool there =
      wait_until([&] { return fs::exists(log) && read_jsonl(log).size() >= steps; });
  MT_CHECK(there, "job ", id_, " made no ", steps, " steps:\n", output());
}

}  // namespace mtrain::test
