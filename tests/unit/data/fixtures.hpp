// What the tests of the data layer share: scratch folders, a small tokenizer, the
// oracle's files.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mtrain/data/prepare.hpp"

namespace mtrain::test {

/// A folder that is removed at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& bytes) const;
  /// Names of all files in the folder, sorted.
  std::vector<std::string> files() const;

 private:
  std::filesystem::path path_;
};

/// A byte-level tokenizer.json: ids 0..255 are the bytes in the order of the alphabet's
/// spelling, then a few merges, then the added tokens of Qwen's chat format.
nlohmann::json small_tokenizer();
/// Writes small_tokenizer() and a tokenizer_config.json (eos <|im_end|>, pad
/// <|endoftext|>).
void write_small_tokenizer(const ScratchFolder& folder);

/// Options of stage sft over `dataset` in `folder`, which also holds the tokenizer.
data::PrepareOptions sft_options(const ScratchFolder& folder, const std::string& dataset);

/// The message and remedy of the UserError that `action` throws; "" when it throws none.
std::string user_error(const std::function<void()>& action);

/// ../shared beside the repository; "" (and a message) where it does not exist.
std::string shared_folder();
/// The JSON values of a gzipped file, one a line.
std::vector<nlohmann::json> read_gzipped_lines(const std::string& path);

}  // namespace mtrain::test
