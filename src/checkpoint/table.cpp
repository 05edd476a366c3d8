// Lays out rows of cells; used by inspect and diff.
#include "table.hpp"

#include <algorithm>

namespace mtrain::checkpoint {

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      text += row[c];
      if (c + 1 < row.size()) text.append(widths[c] + 2 - row[c].size(), ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace mtrain::checkpoint
