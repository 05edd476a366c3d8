// Owns the records of one dataset over all its files; called by the preparation.
#include "dataset.hpp"

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::data {

Dataset::Dataset(DatasetEntry entry)
    : entry_(std::make_unique<DatasetEntry>(std::move(entry))),
      starts_{0},
      converter_(make_converter(*entry_)) {
  for (const auto& path : entry_->paths) {
    files_.emplace_back(path);
    starts_.push_back(starts_.back() + files_.back().size());
  }
  if (starts_.back() > int64_t{UINT32_MAX})
    throw UserError(cat("dataset '", entry_->name, "' has more than 2^32 records"),
                    "split it");
  if (entry_->formatting == Formatting::kOpenai) learn_types();
}

std::pair<const RecordFile*, int64_t> Dataset::locate(int64_t i) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), i);
  const auto file = static_cast<size_t>(next - starts_.begin()) - 1;
  return {&files_[file], i - starts_[file]};
}

std::string Dataset::place(int64_t i) const {
  const auto [file, number] = locate(i);
  return file->place(number);
}

// Only openai records hold objects that are written into the text. Records that can't be
// read are reported when they are used.
void Dataset::learn_types() {
  const auto learn = [](ArrowSchema& schema, const OrderedJson& record,
                        const std::string& column) {
    const auto found = record.find(column);
    if (found != record.end()) schema.observe(*found);
  };
  for (int64_t i = 0; i < size(); ++i) {
    OrderedJson record;
    try {
      const auto [file, number] = locate(i);
      record = file->read(number);
    } catch (const RecordFault&) {
      continue;
    }
    try {
      learn(messages_, record, entry_->columns.messages);
      learn(tools_, record, entry_->columns.tools);
    } catch (const RecordFault& fault) {
      throw UserError(cat(place(i), ": ", fault.what),
                      "give every place in the records one type");
    }
  }
}

void Dataset::unify(OrderedJson& record) const {
  const auto apply = [&](const ArrowSchema& schema, const std::string& column) {
    const auto found = record.find(column);
    if (found != record.end()) schema.apply(*found);
  };
  apply(messages_, entry_->columns.messages);
  apply(tools_, entry_->columns.tools);
}

AlignedRecord Dataset::read(int64_t i, ColumnFacts& facts) const {
  const auto [file, number] = locate(i);
  OrderedJson record = file->read(number);
  if (entry_->formatting == Formatting::kOpenai) unify(record);
  Columns columns(*entry_);
  AlignedRecord aligned = converter_->convert(record, columns);
  facts.add(columns.facts());
  return aligned;
}

// A column may stand in records only that are not used; they count as well.
void Dataset::check_columns(ColumnFacts facts) const {
  const RecordLayout layout = files_.front().layout();
  if (column_fault(*entry_, layout, facts).empty()) return;
  for (int64_t i = 0; i < size(); ++i) {
    try {
      read(i, facts);
    } catch (const RecordFault&) {
      continue;
    }
  }
  const std::string fault = column_fault(*entry_, layout, facts);
  if (!fault.empty())
    throw UserError(
        cat("dataset '", entry_->name, "': ", fault),
        "give the dataset's column names as `columns` in its dataset_info.json entry");
}

}  // namespace mtrain::data
