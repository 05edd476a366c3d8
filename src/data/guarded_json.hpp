// JSON from files we did not write: bounded depth, no duplicate keys, records streamed.
#pragma once

#include <functional>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtrain::data {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  ///< keeps the order of keys, as Python does

inline constexpr size_t kMaxJsonDepth = 64;

/// The value of one JSON text. UserError "PLACE: why", where `place` is for instance a
/// file name.
Json parse_json(std::string_view text, const std::string& place);
OrderedJson parse_ordered_json(std::string_view text, const std::string& place);

/// Streams the elements of a JSON array (or the one value that is no array) to `take`, in
/// order; only one is in memory at a time. UserError "PLACE: why" on malformed text.
void stream_json(std::istream& input, const std::string& place,
                 const std::function<void(OrderedJson&&)>& take);

}  // namespace mtrain::data
