// Access to the columns of records, and what is known of each over all of a dataset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataset_info.hpp"
#include "record_file.hpp"

namespace mtrain::data {

/// What the records of a dataset show of its columns; facts from different records add
/// up.
struct ColumnFacts {
  uint64_t seen = 0;   ///< bit c: some record has column c
  uint64_t dates = 0;  ///< bit c: some text in column c looks like a date
  uint64_t texts = 0;  ///< bit c: some text in column c does not

  void add(const ColumnFacts& other) {
    seen |= other.seen;
    dates |= other.dates;
    texts |= other.texts;
  }
};

/// Reads columns by name; a column that a record lacks reads as null.
class Columns {
 public:
  /// The columns a dataset of this entry needs are those named in it.
  explicit Columns(const DatasetEntry& entry);

  /// The value of a column, or nothing where dataset or record lack it, or it is null.
  const OrderedJson* find(const OrderedJson& record, const std::string& name);
  /// A text column; "" for nothing. Throws RecordFault for any other type.
  std::string text(const OrderedJson& record, const std::string& name);

  const ColumnFacts& facts() const { return facts_; }

 private:
  uint64_t bit(const std::string& name) const;

  std::vector<std::string> used_;
  ColumnFacts facts_;
};

/// What is wrong with the columns of a dataset: one the entry needs stood in no record,
/// or the reference would take a text column for dates. "" for nothing.
std::string column_fault(const DatasetEntry& entry, RecordLayout layout,
                         const ColumnFacts& facts);

}  // namespace mtrain::data
