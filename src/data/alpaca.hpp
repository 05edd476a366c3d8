// Converter of alpaca records: instruction, input, output, history, system.
#pragma once

#include <array>
#include <string>

#include "aligned_record.hpp"
#include "dataset_info.hpp"
#include "fault_log.hpp"
#include "record_reader.hpp"

namespace mtrain::data {

/// Converts the records of one dataset; a missing column reads as null, but a column that
/// no record has is an error.
class AlpacaConverter {
 public:
  AlpacaConverter(const DatasetEntry& entry, FaultLog& faults);

  /// False, with an entry in the fault log, for a malformed record.
  bool convert(const Record& record, AlignedRecord& out);
  /// UserError when a column of the entry stood in no record.
  void check_columns() const;

 private:
  enum Column { kPrompt, kQuery, kResponse, kHistory, kSystem, kTools, kColumns };

  const OrderedJson* find(const OrderedJson& record, Column column);
  std::string text(const OrderedJson& record, Column column);
  void add_history(const OrderedJson& record, AlignedRecord& out);

  const DatasetEntry& entry_;
  FaultLog& faults_;
  std::array<const std::string*, kColumns> names_;
  std::array<bool, kColumns> seen_{};
};

}  // namespace mtrain::data
