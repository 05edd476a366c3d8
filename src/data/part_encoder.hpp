// From a range of records to an encoded part.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "dataset.hpp"
#include "part_file.hpp"
#include "record_order.hpp"

namespace mtrain::data {

/// How many records of a kind are told by place; the rest is counted.
inline constexpr size_t kShownRecords = 5;
/// Appends lines as long as there are fewer.
void append_shown(std::vector<std::string>& all, const std::vector<std::string>& more);

class PartEncoder {
 public:
  explicit PartEncoder(const PrepareOptions& options);

  /// Encodes the records `rows` of `datasets`, in order, in whole batches.
  Part encode(const std::vector<Dataset>& datasets, std::span<const RowRef> rows);

 private:
  void add(const Dataset& dataset, int64_t row, Part& part, ColumnFacts& facts);
  void inspect(const AlignedRecord& record, PrepareStats& stats) const;

  PrepareOptions options_;
  Tokenizer tokenizer_;
  std::unique_ptr<BatchEncoder> encoder_;
};

}  // namespace mtrain::data
