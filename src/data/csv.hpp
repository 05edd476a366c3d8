// Comma-separated files, cut and typed as pandas reads them for the reference.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// A record of a text.
struct CsvRecord {
  std::vector<std::string> cells;
  size_t end;   ///< behind its last character
  size_t next;  ///< where the next one begins
  bool closed;  ///< false when the text ends within quotes
};

/// The record that begins at `at`. Cells end at commas, records at \n, \r\n or \r; a cell
/// that begins with a quote may hold these, and quotes written twice. Blanks are kept.
CsvRecord read_csv_record(std::string_view text, size_t at);

/// A column: its name, and what its cells have in common.
class CsvColumn {
 public:
  explicit CsvColumn(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  void observe(const std::string& cell);
  /// A cell as JSON, once all are observed: null for what pandas takes for missing ("",
  /// "NA", "null", ...); a number or boolean where every other cell of the column is one;
  /// else the text.
  OrderedJson value(const std::string& cell) const;

 private:
  std::string name_;
  bool texts_ = false, numbers_ = false, booleans_ = false;  ///< what was seen
};

}  // namespace mtrain::data
