// Changing single members of a JSON text that is somebody else's.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtrain {

/// Sets member `key` of the object that `text` holds; a new one goes to the end. All
/// other bytes stay: numbers of any length, order and layout. UserError where `text` is
/// no JSON object.
std::string with_member(const std::string& text, std::string_view key,
                        const nlohmann::json& value);

}  // namespace mtrain
