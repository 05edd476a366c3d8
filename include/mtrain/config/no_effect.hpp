// How a key that changes nothing is told.
#pragma once

#include <string>

#include "mtrain/config/parse.hpp"

namespace mtrain::config {

/// Appends the warning that `key` has no effect, with place, value and reason, where the
/// user gave it; nothing is said of defaults.
void warn_no_effect(ParsedDeck& parsed, const std::string& key,
                    const std::string& reason);

}  // namespace mtrain::config
