// Owns the conversion of openai records (LLaMA-Factory, data/converter.py): messages
// whose tool calls are objects. Made by make_converter().
#include "converters.hpp"
#include "mtrain/base/error.hpp"
#include "python_json.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kBetweenResults = "\n</tool_response>\n<tool_response>\n";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// The reference marks system texts by whether tools are at hand.
std::string marked_system(const std::string& system, bool tools) {
  if (system.empty()) return tools ? "" : "detailed thinking off";
  if (tools) return system + "\n";
  const bool marked = contains(system, "detailed thinking on") ||
                      contains(system, "detailed thinking off");
  return marked ? system : system + "\ndetailed thinking off";
}

class OpenaiConverter final : public Converter {
 public:
  explicit OpenaiConverter(const DatasetEntry& entry) : reader_(entry) {}

  AlignedRecord convert(const OrderedJson& record, Columns& columns) const override {
    AlignedRecord out;
    const ColumnNames& names = reader_.entry().columns;
    const OrderedJson* tools = columns.find(record, names.tools);
    if (tools) out.tools = tools->is_string() ? tools->get<std::string>() : dumps(*tools);
    std::string system = columns.text(record, names.system);
    auto conversation = read(reader_.messages(record, columns), system);
    out.system = marked_system(system, !out.tools.empty());
    reader_.finish(std::move(conversation), record, columns, out);
    return out;
  }

 private:
  // Results of several tools in a row become one message; those behind the last other
  // message are lost, as in the reference.
  std::vector<Message> read(const OrderedJson& messages, std::string& system) const {
    std::vector<Message> conversation;
    std::vector<std::string> results;
    for (size_t i = 0; i < messages.size(); ++i) {
      const std::string& tag = reader_.tag(messages[i]);
      if (i == 0 && reader_.is_system(tag)) {
        system = reader_.content(messages[i]);
        continue;
      }
      Message message = read_message(messages[i], tag);
      if (message.role == Role::kObservation) {
        results.push_back(std::move(message.content));
        continue;
      }
      if (!results.empty())
        conversation.push_back({Role::kObservation, join(results, kBetweenResults)});
      results.clear();
      conversation.push_back(std::move(message));
    }
    return conversation;
  }

  Message read_message(const OrderedJson& message, const std::string& tag) const {
    const auto role = reader_.role(tag);
    if (!role) throw RecordFault{cat("a message has the unknown role '", tag, "'")};
    const auto calls = message.find("tool_calls");
    if (asks(*role) || calls == message.end() || calls->is_null() || calls->empty())
      return {*role, reader_.content(message)};
    if (!calls->is_array()) throw RecordFault{"'tool_calls' is no list"};
    OrderedJson functions = OrderedJson::array();
    for (const auto& call : *calls) {
      if (!call.is_object() || !call.contains("function"))
        throw RecordFault{"a tool call has no 'function'"};
      functions.push_back(call.at("function"));
    }
    return {Role::kFunction, dumps(functions)};
  }

  MessageReader reader_;
};

}  // namespace

std::unique_ptr<Converter> make_openai_converter(const DatasetEntry& entry) {
  return std::make_unique<OpenaiConverter>(entry);
}

}  // namespace mtrain::data
