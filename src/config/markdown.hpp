// Text of the generated pages.
#pragma once

#include <string>

namespace mtrain::config {

/// Text for a cell of a table.
inline std::string table_cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

}  // namespace mtrain::config
