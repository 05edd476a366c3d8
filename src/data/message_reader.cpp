// Owns what the converters of conversations share (LLaMA-Factory, data/converter.py), and
// the choice of a converter.
#include "converters.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

void drop(AlignedRecord& out, std::string reason) {
  out.prompt.clear();
  out.response.clear();
  out.reason = std::move(reason);
}

}  // namespace

const OrderedJson& MessageReader::messages(const OrderedJson& record,
                                           Columns& columns) const {
  const std::string& name = entry_.columns.messages;
  const OrderedJson* list = columns.find(record, name);
  if (!list) throw RecordFault{cat("'", name, "' is missing or null")};
  if (!list->is_array())
    throw RecordFault{cat("'", name, "' is of type ", list->type_name(), ", not a list")};
  return *list;
}

const std::string& MessageReader::member(const OrderedJson& message,
                                         const std::string& name) const {
  if (!message.is_object())
    throw RecordFault{cat("a message is of type ", message.type_name(), ", no object")};
  const auto found = message.find(name);
  if (found == message.end()) throw RecordFault{cat("a message has no '", name, "'")};
  if (!found->is_string())
    throw RecordFault{cat("the '", name, "' of a message is of type ", found->type_name(),
                          ", not text")};
  return found->get_ref<const std::string&>();
}

const std::string& MessageReader::tag(const OrderedJson& message) const {
  return member(message, entry_.tags.role);
}

const std::string& MessageReader::content(const OrderedJson& message) const {
  return member(message, entry_.tags.content);
}

bool MessageReader::is_system(const std::string& tag) const {
  return !entry_.tags.system.empty() && tag == entry_.tags.system;
}

std::optional<Role> MessageReader::role(const std::string& tag) const {
  const TagNames& tags = entry_.tags;
  if (tag.empty()) return std::nullopt;
  if (tag == tags.user) return Role::kUser;
  if (tag == tags.assistant) return Role::kAssistant;
  if (tag == tags.observation) return Role::kObservation;
  if (tag == tags.function) return Role::kFunction;
  return std::nullopt;
}

Message MessageReader::answer(const OrderedJson& message) const {
  const std::string& name = tag(message);
  const auto known = role(name);
  if (!known && !is_system(name))
    throw RecordFault{cat("an answer has the unknown role '", name, "'")};
  return {known.value_or(Role::kAssistant), content(message)};
}

void MessageReader::finish(std::vector<Message> conversation, const OrderedJson& record,
                           Columns& columns, AlignedRecord& out) const {
  for (size_t i = 0; i < conversation.size(); ++i)
    if (asks(conversation[i].role) != (i % 2 == 0))
      return drop(out, cat("message ", i + 1, " has not the role of its turn"));
  if (conversation.empty()) return drop(out, "has no message");
  if ((conversation.size() % 2 == 0) == entry_.ranking)
    return drop(out, "ends with the wrong role");
  if (entry_.ranking) {
    const OrderedJson* chosen = columns.find(record, entry_.columns.chosen);
    const OrderedJson* rejected = columns.find(record, entry_.columns.rejected);
    if (!chosen || !rejected) return drop(out, "lacks one of its two answers");
    out.response = {answer(*chosen), answer(*rejected)};
  } else {
    out.response = {std::move(conversation.back())};
    conversation.pop_back();
  }
  out.prompt = std::move(conversation);
}

std::unique_ptr<Converter> make_converter(const DatasetEntry& entry) {
  switch (entry.formatting) {
    case Formatting::kAlpaca:
      return make_alpaca_converter(entry);
    case Formatting::kSharegpt:
      return make_sharegpt_converter(entry);
    case Formatting::kOpenai:
      return make_openai_converter(entry);
  }
  MT_CHECK(false, "unknown formatting");
  return nullptr;
}

}  // namespace mtrain::data
