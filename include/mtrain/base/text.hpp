// Small text helpers shared by every layer: concatenation, joining, number formatting.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain {

/// Concatenates anything that can be streamed: cat("rank ", 3, " of ", 4).
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  static_cast<void>((out << ... << parts));
  return out.str();
}

/// Joins streamable items: join({1, 2, 3}, ", ") == "1, 2, 3".
template <class Range>
std::string join(const Range& items, std::string_view separator) {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << separator;
    out << item;
    first = false;
  }
  return out.str();
}

/// Splits at every occurrence of `separator`; empty pieces are kept.
std::vector<std::string> split(std::string_view text, char separator);

/// Removes ASCII white space at both ends.
std::string_view trim(std::string_view text);

/// Number of single-character edits (insert, delete, replace, swap of neighbours) that
/// turn a into b; for "did you mean" hints.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word` by edit distance, or "" when none is near enough to be
/// a plausible misspelling (more than a third of its letters differ).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// One value by a pattern of printf: formatted("%.2f s", 1.5) == "1.50 s".
std::string formatted(const char* pattern, double value);

/// One line per row, columns padded to their widest cell and two spaces apart.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// "1.50 GiB", "312 B": bytes with a binary unit.
std::string human_bytes(double bytes);

/// "1.72B", "15.3M", "512": a count with a decimal unit.
std::string human_count(double count);

/// "1:02:03" or "02:03": a duration in whole seconds.
std::string human_duration(double seconds);

}  // namespace mtrain
