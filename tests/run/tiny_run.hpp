// A small training run in a folder of its own, for tests that start the real programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mtrain/data/sample.hpp"
#include "support/run_program.hpp"

namespace mtrain::test {

using Words = std::vector<std::string>;

/// Words of a text, split at spaces: "a=1  b=2" is {"a=1", "b=2"}.
Words words(const std::string& text);

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Whether `part` stands in what a program printed.
inline bool says(const std::string& output, const std::string& part) {
  return output.find(part) != std::string::npos;
}

/// Folder of a model among the reference data: "tiny-qwen3", "tiny-qwen3-untied-bf16".
std::filesystem::path golden_model(const std::string& name);

/// `count` samples of 9 to 17 tokens below `vocab`, every label trained; the same ones
/// each time.
std::vector<data::Sample> random_samples(int count, int vocab);

/// Fills a folder with the tokenizer of the demo and dataset_info.json with small
/// datasets of the names that the decks of inputs/ use.
void write_example_data(const std::filesystem::path& folder);

/// Writes a token store for stage pt.
void write_samples(const std::filesystem::path& path,
                   const std::vector<data::Sample>& samples);

/// dir/deck.ini trains tiny-qwen3 on the 24 samples of dir/tokens.h5, 4 a step, into
/// dir/out.
class TinyRun {
 public:
  /// Empties the folder `name` of the test scratch.
  explicit TinyRun(const std::string& name);

  /// Runs mtrain on the deck; `overrides` are key=value words or flags.
  Outcome run(int ranks, const Words& overrides) const;
  /// The same with variables ("NAME=value") set.
  Outcome run(int ranks, const Words& overrides, const Words& environment) const;
  /// As run(), and throws with the program's output unless it ends with 0.
  std::string succeed(int ranks, const Words& overrides) const;
  /// A place in the folder.
  std::filesystem::path at(const std::string& name) const { return dir_ / name; }

 private:
  std::filesystem::path dir_;
};

/// The content of a folder: names, sizes and times of all files in it, one a line; empty
/// where there is no such folder or nothing in it.
std::string listing(const std::filesystem::path& folder);

}  // namespace mtrain::test
