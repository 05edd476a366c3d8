// Finds processes in /proc; used by tests that stop, kill or signal programs.
#include "support/processes.hpp"

#include <chrono>
#include <functional>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"
#include "support/run_program.hpp"

namespace mtrain::test {
namespace {

namespace fs = std::filesystem;

constexpr double kPatience = 60;  // seconds

/// False when the patience ended.
bool wait_until(const std::function<bool()>& ready) {
  const Stopwatch clock;
  while (!ready()) {
    if (clock.seconds() > kPatience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

/// Whether the texts, each ended by a zero byte, hold this one.
bool holds_text(const std::string& texts, const std::string& text) {
  const std::string zero(1, '\0');
  return (zero + texts).find(zero + text + zero) != std::string::npos;
}

}  // namespace

bool processes_are_shown() {
  return fs::exists("/proc/self/cmdline");
}

pid_t await_process(const std::string& program, const std::string& argument,
                    const std::string& variable) {
  pid_t found = 0;
  const auto look = [&] {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator("/proc", gone)) {
      const auto line = read_text(entry.path() / "cmdline");
      if (!line.starts_with(program) || line.find(argument) == std::string::npos)
        continue;
      if (variable.empty() || holds_text(read_text(entry.path() / "environ"), variable))
        found = static_cast<pid_t>(std::stoi(entry.path().filename()));
    }
    return found != 0;
  };
  MT_CHECK(wait_until(look), "no process ", program, " with ", argument);
  return found;
}

void await_lines(const fs::path& log, size_t count) {
  wait_until([&] { return fs::exists(log) && read_jsonl(log).size() >= count; });
}

void await_file(const fs::path& path) {
  wait_until([&] { return fs::exists(path); });
}

}  // namespace mtrain::test
