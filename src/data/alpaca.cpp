// Owns the conversion of alpaca records (LLaMA-Factory, data/converter.py); called by
// prepare().
#include "alpaca.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

// What is wrong with one record; becomes an entry of the fault log.
struct RecordFault {
  std::string what;
};

}  // namespace

AlpacaConverter::AlpacaConverter(const DatasetEntry& entry, FaultLog& faults)
    : entry_(entry), faults_(faults) {
  const AlpacaColumns& columns = entry_.columns;
  names_ = {&columns.prompt,  &columns.query,  &columns.response,
            &columns.history, &columns.system, &columns.tools};
}

// The value of a column, or nothing where the dataset or the record lacks it, or it is
// null.
const OrderedJson* AlpacaConverter::find(const OrderedJson& record, Column column) {
  if (names_[column]->empty()) return nullptr;
  const auto found = record.find(*names_[column]);
  if (found == record.end()) return nullptr;
  seen_[column] = true;
  return found->is_null() ? nullptr : &*found;
}

std::string AlpacaConverter::text(const OrderedJson& record, Column column) {
  const OrderedJson* value = find(record, column);
  if (!value) return {};
  if (!value->is_string())
    throw RecordFault{
        cat("'", *names_[column], "' is a ", value->type_name(), ", not a string")};
  return value->get<std::string>();
}

void AlpacaConverter::add_history(const OrderedJson& record, AlignedRecord& out) {
  const OrderedJson* history = find(record, kHistory);
  if (!history || *history == "") return;
  if (!history->is_array())
    throw RecordFault{cat("'", *names_[kHistory], "' is no list")};
  for (const auto& turn : *history) {
    if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() ||
        !turn[1].is_string())
      throw RecordFault{
          cat("'", *names_[kHistory], "' must hold pairs of strings, it holds ",
              turn.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)
                  .substr(0, 80))};
    out.prompt.push_back({Role::kUser, turn[0].get<std::string>()});
    out.prompt.push_back({Role::kAssistant, turn[1].get<std::string>()});
  }
}

bool AlpacaConverter::convert(const Record& record, AlignedRecord& out) {
  out = {};
  try {
    add_history(record.value, out);
    std::string prompt = text(record.value, kPrompt);
    const std::string query = text(record.value, kQuery);
    if (!prompt.empty() && !query.empty()) prompt += "\n";
    out.prompt.push_back({Role::kUser, prompt + query});
    if (find(record.value, kResponse))
      out.response.push_back({Role::kAssistant, text(record.value, kResponse)});
    out.system = text(record.value, kSystem);
    if (!text(record.value, kTools).empty())
      throw RecordFault{cat("'", *names_[kTools], "': tools are not supported yet")};
  } catch (const RecordFault& fault) {
    faults_.add(entry_.path, record.number, fault.what);
    return false;
  }
  return true;
}

void AlpacaConverter::check_columns() const {
  for (int column = 0; column < kColumns; ++column)
    if (!names_[column]->empty() && !seen_[column])
      throw UserError(
          cat("dataset '", entry_.name, "': no record of ", entry_.path,
              " has the column '", *names_[column], "'"),
          "give the dataset's column names as `columns` in its dataset_info.json entry");
}

}  // namespace mtrain::data
