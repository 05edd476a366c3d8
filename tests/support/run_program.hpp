// Running the real binaries, and reading what they wrote.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mtrain::test {

struct Outcome {
  int exit_code;
  std::string output;  ///< stdout, then stderr
  std::string errors;  ///< stderr
};

/// Runs `program` (mtrain, mprep, mconvert) with `arguments` on `ranks` ranks (1: without
/// mpirun).
Outcome run_program(const std::string& program, int ranks,
                    const std::vector<std::string>& arguments);

/// As above, each rank with these variables set ("NAME=value"), behind them the words of
/// a program it is started through, if any.
Outcome run_program(const std::string& program, int ranks,
                    const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment);

/// A program and some of the ranks that run it.
struct RankSet {
  std::string program;
  int ranks;
  std::vector<std::string> arguments;
  std::vector<std::string> environment = {};
};
/// Runs one job whose ranks differ in their arguments, as `mpirun A : B`.
Outcome run_programs(const std::vector<RankSet>& sets);

/// A fresh empty folder for one test, removed by the next run of the same test.
std::filesystem::path scratch(const std::string& name);

void write_text(const std::filesystem::path& path, const std::string& text);
std::string read_text(const std::filesystem::path& path);

/// The objects of a .jsonl file.
std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path);

/// Rows of tokens below `vocab`, the same ones each time.
std::vector<std::vector<int32_t>> counted_rows(size_t count, size_t length, int vocab);

/// Writes a token store of rows of equal length, every label trained.
void write_store(const std::filesystem::path& path,
                 const std::vector<std::vector<int32_t>>& rows);

}  // namespace mtrain::test
