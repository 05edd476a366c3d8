// Where the elements of a JSON list begin and end, without parsing them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace mtrain::data {

inline constexpr std::string_view kJsonSpace = " \t\r\n";

/// Calls take(begin, end) with the byte range of each element of the list that `text`
/// holds. Returns what is wrong with the list itself, "" for nothing; what the elements
/// hold is not checked.
std::string scan_json_list(std::string_view text,
                           const std::function<void(size_t, size_t)>& take);

}  // namespace mtrain::data
