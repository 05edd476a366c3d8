// From a dataset's own layout of records to the aligned one.
#pragma once

#include <memory>

#include "aligned_record.hpp"
#include "columns.hpp"
#include "dataset_info.hpp"

namespace mtrain::data {

/// Converts the records of one dataset (LLaMA-Factory, data/converter.py).
class Converter {
 public:
  virtual ~Converter() = default;

  /// Throws RecordFault for a malformed record. One that is well formed but not usable
  /// gives an aligned record without prompt and response, and with a reason.
  virtual AlignedRecord convert(const OrderedJson& record, Columns& columns) const = 0;
};

/// The converter of the entry's formatting; keeps a reference to `entry`.
std::unique_ptr<Converter> make_converter(const DatasetEntry& entry);

}  // namespace mtrain::data
