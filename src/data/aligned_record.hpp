// A record in the one form all converters produce and all encoders take.
#pragma once

#include <string>
#include <vector>

namespace mtrain::data {

enum class Role { kUser, kAssistant, kFunction, kObservation };

/// Whether the role asks (an even place of a conversation) or answers (an odd one).
inline bool asks(Role role) {
  return role == Role::kUser || role == Role::kObservation;
}

struct Message {
  Role role;
  std::string content;
};

/// A conversation up to the last message that asks, and its response: one message, two
/// for a preference pair (chosen, rejected), or none where the record has no usable one.
struct AlignedRecord {
  std::vector<Message> prompt;
  std::vector<Message> response;
  std::string system;
  std::string tools;   ///< a JSON list of tool descriptions, or ""
  std::string reason;  ///< why there is nothing usable, "" where there is
};

}  // namespace mtrain::data
