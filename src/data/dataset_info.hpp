// dataset_info.json: where a dataset's file is and what its columns are called.
#pragma once

#include <string>
#include <vector>

#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// How records are laid out; more formats come with more converters.
enum class Formatting { kAlpaca };

/// Column names of the alpaca format; "" for a column the dataset does not have.
struct AlpacaColumns {
  std::string prompt;
  std::string query;
  std::string response;
  std::string history;
  std::string system;
  std::string tools;
};

struct DatasetEntry {
  std::string name;
  std::string path;  ///< the file, below dataset_dir
  Formatting formatting;
  AlpacaColumns columns;
};

/// The entries of `names` in dataset_dir/dataset_info.json, in the order of `names`.
/// UserError on unknown names (with the nearest), on anything not supported, and on
/// datasets made for another stage.
std::vector<DatasetEntry> read_dataset_info(const std::string& dataset_dir,
                                            const std::vector<std::string>& names,
                                            Stage stage);

}  // namespace mtrain::data
