// A record in the one form all converters produce and all encoders take.
#pragma once

#include <string>
#include <vector>

namespace mtrain::data {

enum class Role { kUser, kAssistant };

struct Message {
  Role role;
  std::string content;
};

/// A conversation up to the last user message, and its response: one message, or none
/// where the record has no usable one.
struct AlignedRecord {
  std::vector<Message> prompt;
  std::vector<Message> response;
  std::string system;
};

}  // namespace mtrain::data
