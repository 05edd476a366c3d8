// A look at datasets, tokenizer and template before anything is prepared from them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/base/fault_list.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// As many records as there are.
inline constexpr int64_t kAllRecords = std::numeric_limits<int64_t>::max();

struct SourceCheck {
  FaultList faults;
  std::vector<std::string> read;    ///< what was read and how much, a line each
  std::vector<std::string> doubts;  ///< what a sample of records shows, but may be chance
  PreparedStore seen;               ///< what the records that were read gave
  bool complete = false;            ///< all records were read
  /// Rows (samples, pairs) to train on: exact when complete, else the most there can be;
  /// nothing where that is not known.
  std::optional<int64_t> train_rows;
  bool has_eval = false;      ///< there are records to evaluate on
  int64_t largest_id = -1;    ///< among the tokens of the records that were read
  int64_t short_answers = 0;  ///< samples of fewer than two tokens
};

/// Reads what a Preparation of these options would, writes nothing: opens all datasets,
/// and encodes up to `most_records` records of each with the run's own encoder, half of
/// them the first ones, the others spread evenly.
SourceCheck check_sources(const PrepareOptions& options, int64_t most_records);

}  // namespace mtrain::data
