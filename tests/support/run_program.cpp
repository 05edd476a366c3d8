// Starts programs for tests of the outside of mtrain.
#include "support/run_program.hpp"

#include <sys/wait.h>

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

}  // namespace

Outcome run_program(const std::string& program, int ranks,
                    const std::vector<std::string>& arguments) {
  std::string command;
  if (ranks > 1)
    command = cat(MTRAIN_SOURCE_DIR "/scripts/local_mpirun -np ", ranks, " ");
  command += quoted(cat(MTRAIN_BINARY_DIR "/bin/", program));
  for (const auto& argument : arguments) command += " " + quoted(argument);
  std::FILE* pipe = popen((command + " 2>&1 < /dev/null").c_str(), "r");
  MT_CHECK(pipe != nullptr, "cannot run ", command);
  Outcome outcome;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    outcome.output.append(buffer, n);
  }
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
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

void write_store(const std::filesystem::path& path,
                 const std::vector<std::vector<int32_t>>& rows) {
  data::TokenStoreWriter writer(path.string(), {data::Stage::kPt, ""});
  for (const auto& row : rows) writer.append({row, row});
  writer.finish();
}

}  // namespace mtrain::test
