// The tables of filters of Jinja templates.
#pragma once

#include <map>
#include <string_view>

#include "jinja_call.hpp"

namespace mtrain::data::jinja {

using FilterTable =
    std::map<std::string_view, Value (*)(const Value&, const Arguments&, Budget&)>;

/// Filters on single values, and on lists.
const FilterTable& value_filters();
const FilterTable& list_filters();

}  // namespace mtrain::data::jinja
