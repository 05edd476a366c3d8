// Integers in JSON from files we do not trust.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

namespace mtrain::checkpoint {

/// A list of integers from 0 to 2^63 - 1; throws Error("is not a list" ...) otherwise.
std::vector<int64_t> integer_list(const nlohmann::json& value);
/// One such integer.
int64_t integer(const nlohmann::json& value);

}  // namespace mtrain::checkpoint
