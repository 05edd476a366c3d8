// Starts programs for tests of the outside of mtrain.
#include "support/run_program.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "mtrain/base/error.hpp"
#include "mtrain/data/token_store.hpp"

namespace mtrain::test {
namespace {

std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word)
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// The program of this build with its arguments, for a shell.
std::string command_of(const std::string& program,
                       const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment) {
  std::string command = environment.empty() ? "" : "env ";
  for (const auto& variable : environment) command += quoted(variable) + " ";
  command += quoted(cat(MTRAIN_BINARY_DIR "/bin/", program));
  for (const auto& argument : arguments) command += " " + quoted(argument);
  return command;
}

Outcome run_shell(const std::string& command) {
  static std::atomic<int> calls = 0;  // of several threads
  const auto errors = std::filesystem::path(MTRAIN_BINARY_DIR) / "test-scratch" /
                      cat("stderr-", getpid(), "-", ++calls, ".txt");
  std::filesystem::create_directories(errors.parent_path());
  const std::string whole = command + " < /dev/null 2> " + quoted(errors.string());
  std::FILE* pipe = popen(whole.c_str(), "r");
  MT_CHECK(pipe != nullptr, "cannot run ", command);
  Outcome outcome;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    outcome.output.append(buffer, n);
  }
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.errors = read_text(errors);
  outcome.output += outcome.errors;
  std::filesystem::remove(errors);
  return outcome;
}

}  // namespace

Outcome run_program(const std::string& program, int ranks,
                    const std::vector<std::string>& arguments) {
  return run_program(program, ranks, arguments, {});
}

Outcome run_program(const std::string& program, int ranks,
                    const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment) {
  if (ranks == 1) return run_shell(command_of(program, arguments, environment));
  return run_programs({{program, ranks, arguments, environment}});
}

Outcome run_programs(const std::vector<RankSet>& sets) {
  std::vector<std::string> parts;
  for (const auto& [program, ranks, arguments, environment] : sets)
    parts.push_back(cat("-np ", ranks, " ", command_of(program, arguments, environment)));
  return run_shell(quoted(MTRAIN_SOURCE_DIR "/scripts/local_mpirun") + " " +
                   join(parts, " : "));
}

std::filesystem::path scratch(const std::string& name) {
  const auto path = std::filesystem::path(MTRAIN_BINARY_DIR) / "test-scratch" / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_text(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path) {
  std::vector<nlohmann::json> objects;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    objects.push_back(nlohmann::json::parse(line));
  }
  return objects;
}

std::vector<std::vector<int32_t>> counted_rows(size_t count, size_t length, int vocab) {
  std::vector<std::vector<int32_t>> rows(count, std::vector<int32_t>(length));
  int32_t token = 0;
  for (auto& row : rows)
    for (auto& id : row) id = (token += 7) % vocab;
  return rows;
}

void write_store(const std::filesystem::path& path,
                 const std::vector<std::vector<int32_t>>& rows) {
  data::TokenStoreWriter writer(path.string(), {data::Stage::kPt, ""});
  for (const auto& row : rows) writer.append({row, row});
  writer.finish();
}

}  // namespace mtrain::test
