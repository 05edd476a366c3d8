// The value of a text literal of Jinja.
#pragma once

#include <string>
#include <string_view>

namespace mtrain::data::jinja {

/// What stands between the quotes, with Python's escapes resolved. Throws Fault.
std::string unescaped(std::string_view literal);

}  // namespace mtrain::data::jinja
