// dataset_info.json: where a dataset's files are and what its columns and roles are
// called.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// How records are laid out.
enum class Formatting { kAlpaca, kSharegpt, kOpenai };

/// Names of columns; "" for a column the dataset does not have.
struct ColumnNames {
  std::string prompt = "instruction";
  std::string query = "input";
  std::string response = "output";
  std::string messages = "conversations";
  std::string history;
  std::string system;
  std::string tools;
  std::string chosen;
  std::string rejected;
};

/// Names of the members and roles of messages; "" for one the dataset does not have.
struct TagNames {
  std::string role = "from";
  std::string content = "value";
  std::string user = "human";
  std::string assistant = "gpt";
  std::string observation = "observation";
  std::string function = "function_call";
  std::string system = "system";
};

struct DatasetEntry {
  std::string name;
  std::vector<std::string> paths;  ///< one file, or the files of a folder by name
  Formatting formatting = Formatting::kAlpaca;
  bool ranking = false;
  std::optional<int64_t> num_samples;
  ColumnNames columns;
  TagNames tags;
};

/// The entries of `names` in dataset_dir/dataset_info.json, in the order of `names`.
/// UserError on unknown names (with the nearest), on anything not supported, and on
/// datasets made for another stage.
std::vector<DatasetEntry> read_dataset_info(const std::string& dataset_dir,
                                            const std::vector<std::string>& names,
                                            Stage stage);

}  // namespace mtrain::data
