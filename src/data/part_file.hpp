// The file of one encoded part of a preparation.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "batch_encoder.hpp"
#include "columns.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// What encoding one part gives.
struct Part {
  PrepareStats stats;
  std::vector<ColumnFacts> facts;     ///< of each dataset of its split
  int64_t faults = 0;                 ///< malformed records
  std::vector<std::string> faulty;    ///< the first of them, and what is wrong
  std::vector<std::string> left_out;  ///< the first records dropped or skipped, and why
  EncodedSamples encoded;             ///< empty where there are faults
};

/// Writes `part` under a temporary name and gives it its name when it is whole. `source`
/// is the hash of what it is made from. Error with path and errno on failure.
void write_part(const std::string& path, const std::string& source, const Part& part);

/// The part at `path`; nothing where there is none, it is damaged, or of another source.
std::optional<Part> read_part(const std::string& path, const std::string& source);

/// Whether read_part() would give a part.
bool part_is_there(const std::string& path, const std::string& source);

}  // namespace mtrain::data
