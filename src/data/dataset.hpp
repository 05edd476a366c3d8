// One dataset: its files, its records by number, and their conversion.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arrow_schema.hpp"
#include "columns.hpp"
#include "converter.hpp"
#include "record_file.hpp"

namespace mtrain::data {

class Dataset {
 public:
  explicit Dataset(DatasetEntry entry);

  const DatasetEntry& entry() const { return *entry_; }
  int64_t size() const { return starts_.back(); }
  /// Record i in aligned form; adds to `facts`. Throws RecordFault when malformed.
  AlignedRecord read(int64_t i, ColumnFacts& facts) const;
  /// Where record i stands.
  std::string place(int64_t i) const;
  /// UserError when `facts`, and the facts of all other records, show columns that can't
  /// be used.
  void check_columns(ColumnFacts facts) const;

 private:
  void learn_types();
  std::pair<const RecordFile*, int64_t> locate(int64_t i) const;
  void unify(OrderedJson& record) const;

  std::unique_ptr<DatasetEntry> entry_;  ///< the converter refers to it
  std::vector<RecordFile> files_;
  std::vector<int64_t> starts_;  ///< first record of each file, and the number of all
  std::unique_ptr<Converter> converter_;
  ArrowSchema messages_, tools_;  ///< learnt where objects end up in the text
};

}  // namespace mtrain::data
