// Owns access to the columns of records; called by the converters. Matches how HF
// datasets reads JSON: a missing key is null, but a column that no record has is an
// error.
#include "columns.hpp"

#include <algorithm>
#include <cctype>

#include "mtrain/base/text.hpp"

namespace mtrain::data {
namespace {

std::vector<std::string> used_columns(const DatasetEntry& entry) {
  const ColumnNames& c = entry.columns;
  std::vector<std::string> all;
  if (entry.formatting == Formatting::kAlpaca)
    all = {c.prompt, c.query, c.history};
  else
    all = {c.messages};
  all.insert(all.end(), {c.system, c.tools});
  if (entry.ranking)
    all.insert(all.end(), {c.chosen, c.rejected});
  else if (entry.formatting == Formatting::kAlpaca)
    all.push_back(c.response);
  std::erase(all, "");
  return all;
}

// "2020-01-31", alone or with a time behind it.
bool looks_like_date(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-dd";
  if (text.size() < kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(text[i])) != 0;
    if (kShape[i] == 'd' ? !digit : text[i] != '-') return false;
  }
  const std::string_view rest = text.substr(kShape.size());
  return rest.empty() || ((rest[0] == 'T' || rest[0] == ' ') && rest.size() >= 6 &&
                          rest.find_first_not_of("0123456789:.+-TZ ") == rest.npos);
}

// pandas, which reads JSON lists, looks for dates only in columns of such names.
bool date_name(std::string_view name) {
  return name == "date" || name == "modified" || name.ends_with("_at") ||
         name.ends_with("_time") || name.starts_with("timestamp");
}

}  // namespace

Columns::Columns(const DatasetEntry& entry) : used_(used_columns(entry)) {}

uint64_t Columns::bit(const std::string& name) const {
  const auto found = std::find(used_.begin(), used_.end(), name);
  return found == used_.end() ? 0 : uint64_t{1} << (found - used_.begin());
}

const OrderedJson* Columns::find(const OrderedJson& record, const std::string& name) {
  if (name.empty()) return nullptr;
  const auto found = record.find(name);
  if (found == record.end()) return nullptr;
  facts_.seen |= bit(name);
  return found->is_null() ? nullptr : &*found;
}

std::string Columns::text(const OrderedJson& record, const std::string& name) {
  const OrderedJson* value = find(record, name);
  if (!value) return {};
  if (!value->is_string())
    throw RecordFault{cat("'", name, "' is of type ", value->type_name(), ", not text")};
  const auto& text = value->get_ref<const std::string&>();
  (looks_like_date(text) ? facts_.dates : facts_.texts) |= bit(name);
  return text;
}

std::string column_fault(const DatasetEntry& entry, RecordLayout layout,
                         const ColumnFacts& facts) {
  const auto used = used_columns(entry);
  const ColumnNames& names = entry.columns;
  for (size_t i = 0; i < used.size(); ++i) {
    const uint64_t bit = uint64_t{1} << i;
    if ((facts.seen & bit) == 0)
      return cat("no record of ", join(entry.paths, ", "), " has the column '", used[i],
                 "'");
    const bool text =
        entry.formatting == Formatting::kAlpaca &&
        (used[i] == names.prompt || used[i] == names.query || used[i] == names.response);
    const bool looked_at = layout == RecordLayout::kLines ||
                           (layout == RecordLayout::kJson && date_name(used[i]));
    if (text && looked_at && (facts.dates & ~facts.texts & bit) != 0)
      return cat("every text in the column '", used[i],
                 "' looks like a date, which the reference refuses");
  }
  return {};
}

}  // namespace mtrain::data
