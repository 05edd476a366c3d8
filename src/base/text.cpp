// Text helpers used by messages, logs and tables in every layer.
#include "mtrain/base/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "mtrain/base/figures.hpp"

namespace mtrain {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  size_t begin = 0;
  while (true) {
    const size_t end = text.find(separator, begin);
    if (end == std::string_view::npos) break;
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  pieces.emplace_back(text.substr(begin));
  return pieces;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  int best_distance = static_cast<int>(word.size()) / 3 + 1;
  for (const auto& candidate : candidates) {
    const int distance = edit_distance(word, candidate);
    if (distance < best_distance || (best.empty() && distance == best_distance)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

namespace {

/// What is rounded up to a whole `base` takes the next unit.
template <size_t N>
std::string with_unit(double value, double base,
                      const std::array<const char*, N>& units) {
  size_t unit = 0;
  while (std::abs(value) >= base - 0.5 && unit + 1 < N) {
    value /= base;
    ++unit;
  }
  return (unit == 0 ? formatted("%.0f", value) : three_digits(value)) + units[unit];
}

}  // namespace

std::string formatted(const char* pattern, double value) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

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

std::string human_bytes(double bytes) {
  return with_unit<5>(bytes, 1024.0, {" B", " KiB", " MiB", " GiB", " TiB"});
}

std::string human_count(double count) {
  return with_unit<5>(count, 1000.0, {"", "K", "M", "B", "T"});
}

std::string human_duration(double seconds) {
  const auto total = static_cast<long long>(std::max(0.0, std::round(seconds)));
  const long long hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  char buffer[64];
  if (hours > 0) {
    std::snprintf(buffer, sizeof buffer, "%lld:%02lld:%02lld", hours, minutes, rest);
  } else {
    std::snprintf(buffer, sizeof buffer, "%02lld:%02lld", minutes, rest);
  }
  return buffer;
}

}  // namespace mtrain
