// JSON from files we do not trust.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::checkpoint {

/// Parses one JSON value. `what` names it in messages ("header of model.safetensors").
/// Throws UserError for anything that is not JSON in UTF-8, for duplicate keys and for
/// nesting deeper than 64 levels.
nlohmann::json parse_strict(std::string_view text, const std::string& what);

/// A list of integers from 0 to 2^63 - 1; throws Error("is not a list" ...) otherwise.
std::vector<int64_t> integer_list(const nlohmann::json& value);
/// One such integer.
int64_t integer(const nlohmann::json& value);

}  // namespace mtrain::checkpoint
