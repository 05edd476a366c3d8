// The converters behind make_converter().
#pragma once

#include "converter.hpp"

namespace mtrain::data {

std::unique_ptr<Converter> make_alpaca_converter(const DatasetEntry& entry);
std::unique_ptr<Converter> make_sharegpt_converter(const DatasetEntry& entry);
std::unique_ptr<Converter> make_openai_converter(const DatasetEntry& entry);

/// What the converters of conversations share: reading messages by the entry's tags.
class MessageReader {
 public:
  explicit MessageReader(const DatasetEntry& entry) : entry_(entry) {}

  const DatasetEntry& entry() const { return entry_; }
  /// The list of messages. RecordFault when there is none.
  const OrderedJson& messages(const OrderedJson& record, Columns& columns) const;
  /// Members of a message. RecordFault when absent or no text.
  const std::string& tag(const OrderedJson& message) const;
  const std::string& content(const OrderedJson& message) const;
  /// The role a tag stands for; nothing for the system's and unknown ones.
  std::optional<Role> role(const std::string& tag) const;
  bool is_system(const std::string& tag) const;

  /// Moves a conversation into `out`: all but the last message are the prompt, or all of
  /// them for preference pairs, whose answers come from their own columns. Roles must
  /// alternate, else the record is not usable.
  void finish(std::vector<Message> conversation, const OrderedJson& record,
              Columns& columns, AlignedRecord& out) const;

 private:
  const std::string& member(const OrderedJson& message, const std::string& name) const;
  Message answer(const OrderedJson& message) const;

  const DatasetEntry& entry_;
};

}  // namespace mtrain::data
