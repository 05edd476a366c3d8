// Owns the conversion of sharegpt records (LLaMA-Factory, data/converter.py): a list of
// messages with roles. Made by make_converter().
#include "converters.hpp"

namespace mtrain::data {
namespace {

class SharegptConverter final : public Converter {
 public:
  explicit SharegptConverter(const DatasetEntry& entry) : reader_(entry) {}

  AlignedRecord convert(const OrderedJson& record, Columns& columns) const override {
    AlignedRecord out;
    out.system = columns.text(record, reader_.entry().columns.system);
    out.tools = columns.text(record, reader_.entry().columns.tools);
    std::vector<Message> conversation;
    const OrderedJson& messages = reader_.messages(record, columns);
    for (size_t i = 0; i < messages.size(); ++i) {
      const std::string& tag = reader_.tag(messages[i]);
      if (i == 0 && reader_.is_system(tag)) {
        out.system = reader_.content(messages[i]);
        continue;
      }
      const auto role = reader_.role(tag);
      if (!role) {
        out.reason = "message " + std::to_string(i + 1) + " has the role '" + tag + "'";
        return out;
      }
      conversation.push_back({*role, reader_.content(messages[i])});
    }
    reader_.finish(std::move(conversation), record, columns, out);
    return out;
  }

 private:
  MessageReader reader_;
};

}  // namespace

std::unique_ptr<Converter> make_sharegpt_converter(const DatasetEntry& entry) {
  return std::make_unique<SharegptConverter>(entry);
}

}  // namespace mtrain::data
