// Values the deck knows and this version cannot serve yet.
#pragma once

#include <string>
#include <vector>

#include "mtrain/config/parse.hpp"

namespace mtrain::config {

struct NotBuilt {
  std::string key;
  /// Which values: words separated by spaces, "> 1", "!= word", or "*" for any but the
  /// default.
  std::string values;
  std::string capability;  ///< what is missing, as a subject: "context parallelism"
};

/// The list to shorten: each capability that is built deletes its lines.
const std::vector<NotBuilt>& not_built();

/// Whether `text`, as the dump writes it, is one of the values of `row`.
bool needs_missing(const NotBuilt& row, const std::string& text,
                   const std::string& default_text);

}  // namespace mtrain::config
