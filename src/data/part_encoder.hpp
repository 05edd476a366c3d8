// From a range of records to an encoded part.
#pragma once

#include <memory>
#include <vector>

#include "batch_cut.hpp"
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

  /// Encodes the records rows[begin .. end-1] of `datasets`, in order; begin and end are
  /// borders of batches of `cut`, which is of all `rows`.
  Part encode(const std::vector<Dataset>& datasets, const std::vector<RowRef>& rows,
              const BatchCut& cut, int64_t begin, int64_t end);

 private:
  void add(const Dataset& dataset, int64_t row, Part& part, ColumnFacts& facts);
  void inspect(const AlignedRecord& record, PrepareStats& stats) const;

  PrepareOptions options_;
  Tokenizer tokenizer_;
  std::unique_ptr<BatchEncoder> encoder_;
};

}  // namespace mtrain::data
