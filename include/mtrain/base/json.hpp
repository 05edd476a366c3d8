// JSON from files we did not write: bounded depth, no duplicate keys, valid UTF-8.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtrain {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  ///< keeps the order of keys, as Python does

inline constexpr size_t kMaxJsonDepth = 64;

/// The value of one JSON text. UserError "PLACE: why", where `place` is for instance a
/// file name; where `place` is empty, the message is the reason alone.
Json parse_json(std::string_view text, const std::string& place);
OrderedJson parse_ordered_json(std::string_view text, const std::string& place);

/// The same as Python's json.loads reads it: of a key given twice the last value counts,
/// at the place of the first, and whole numbers beyond 64 bits keep their digits, as a
/// binary value.
OrderedJson parse_lenient_json(std::string_view text, const std::string& place);

}  // namespace mtrain
