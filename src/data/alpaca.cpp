// Owns the conversion of alpaca records (LLaMA-Factory, data/converter.py): instruction,
// input, output, history, and pairs of chosen and rejected answers. Made by
// make_converter().
#include "converters.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kShownBytes = 80;

class AlpacaConverter final : public Converter {
 public:
  explicit AlpacaConverter(const DatasetEntry& entry) : entry_(entry) {}

  AlignedRecord convert(const OrderedJson& record, Columns& columns) const override {
    const ColumnNames& names = entry_.columns;
    AlignedRecord out;
    add_history(columns.find(record, names.history), out);
    std::string prompt = columns.text(record, names.prompt);
    const std::string query = columns.text(record, names.query);
    if (!prompt.empty() && !query.empty()) prompt += "\n";
    out.prompt.push_back({Role::kUser, prompt + query});
    const auto answer = [&](const std::string& column) {
      if (columns.find(record, column))
        out.response.push_back({Role::kAssistant, columns.text(record, column)});
    };
    if (entry_.ranking) {
      answer(names.chosen);
      answer(names.rejected);
    } else {
      answer(names.response);
    }
    if (out.response.size() != (entry_.ranking ? 2 : 1)) out.reason = "has no answer";
    out.system = columns.text(record, names.system);
    out.tools = columns.text(record, names.tools);
    return out;
  }

 private:
  void add_history(const OrderedJson* history, AlignedRecord& out) const {
    if (!history || *history == "") return;
    const std::string& name = entry_.columns.history;
    if (!history->is_array()) throw RecordFault{cat("'", name, "' is no list")};
    for (const auto& turn : *history) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() ||
          !turn[1].is_string())
        throw RecordFault{
            cat("'", name, "' must hold pairs of texts, it holds ",
                turn.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)
                    .substr(0, kShownBytes))};
      out.prompt.push_back({Role::kUser, turn[0].get<std::string>()});
      out.prompt.push_back({Role::kAssistant, turn[1].get<std::string>()});
    }
  }

  const DatasetEntry& entry_;
};

}  // namespace

std::unique_ptr<Converter> make_alpaca_converter(const DatasetEntry& entry) {
  return std::make_unique<AlpacaConverter>(entry);
}

}  // namespace mtrain::data
