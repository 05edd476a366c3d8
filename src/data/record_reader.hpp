// Files of records: JSON lists, JSON Lines, plain text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fault_log.hpp"
#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// One record and where it stands; `number` counts from 1 (in JSON Lines and text: the
/// line).
struct Record {
  OrderedJson value;
  int64_t number;
};

/// Calls take(record) for every record of `path`, in order; the extension says what the
/// file holds: .json and .jsonl (a list, one object, or an object a line) or .txt (each
/// line a record with the column "text"). Lines that are no JSON go to `faults`;
/// UserError when the file as a whole can't be read, has no record, or is of a kind not
/// supported.
void read_records(const std::string& path, FaultLog& faults,
                  const std::function<void(Record&&)>& take);

}  // namespace mtrain::data
