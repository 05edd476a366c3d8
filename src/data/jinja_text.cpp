// Owns what Python's str does with texts; called by the Jinja interpreter's methods and
// filters.
#include "jinja_text.hpp"

#include <utf8proc.h>

#include <algorithm>

#include "utf8.hpp"

namespace mtrain::data::jinja {
namespace {

using Points = std::u32string_view;

// Control characters that Python counts as white space, unlike Unicode.
constexpr char32_t kFirstSeparator = 0x1c, kLastSeparator = 0x1f;

// The one letter in common use whose capital is two letters.
constexpr std::string_view kSharpS = "\u00df";

bool ends_line(char32_t point) {
  constexpr Points kEnds = U"\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029";
  return kEnds.find(point) != Points::npos;
}

std::string mapped(std::string_view text, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  std::string result;
  for (size_t at = 0; at < text.size();)
    append_code_point(static_cast<char32_t>(
                          map(static_cast<utf8proc_int32_t>(next_code_point(text, at)))),
                      result);
  return result;
}

std::vector<std::string> split_at_space(Points points, size_t most) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (true) {
    while (at < points.size() && is_python_space(points[at])) ++at;
    if (at == points.size()) return parts;
    size_t end = at;
    while (end < points.size() && !is_python_space(points[end])) ++end;
    if (parts.size() == most) end = points.size();
    parts.push_back(text_of_points(points.substr(at, end - at)));
    at = end;
  }
}

}  // namespace

std::u32string points_of(std::string_view text) {
  std::u32string points;
  for (size_t at = 0; at < text.size();) points += next_code_point(text, at);
  return points;
}

std::string text_of_points(std::u32string_view points) {
  std::string text;
  for (const char32_t point : points) append_code_point(point, text);
  return text;
}

size_t length_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_python_space(char32_t point) {
  return (point >= kFirstSeparator && point <= kLastSeparator) || is_space(point);
}

std::string strip(std::string_view text, const std::optional<std::string>& letters,
                  Side side) {
  const std::u32string points = points_of(text);
  const std::u32string set = letters ? points_of(*letters) : std::u32string();
  const auto goes = [&](char32_t point) {
    return letters ? set.find(point) != set.npos : is_python_space(point);
  };
  size_t begin = 0, end = points.size();
  if (side != Side::kRight)
    while (begin < end && goes(points[begin])) ++begin;
  if (side != Side::kLeft)
    while (end > begin && goes(points[end - 1])) --end;
  return text_of_points(Points(points).substr(begin, end - begin));
}

std::vector<std::string> split_text(std::string_view text,
                                    const std::optional<std::string>& separator,
                                    size_t most) {
  if (!separator) {
    const std::u32string points = points_of(text);
    std::vector<std::string> parts = split_at_space(points, most);
    return parts;
  }
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t next = text.find(*separator); next != text.npos && parts.size() < most;
       next = text.find(*separator, at)) {
    parts.emplace_back(text.substr(at, next - at));
    at = next + separator->size();
  }
  parts.emplace_back(text.substr(at));
  return parts;
}

std::vector<std::string> split_from_right(std::string_view text,
                                          const std::string& separator, size_t most) {
  std::vector<std::string> parts;
  while (parts.size() < most) {
    const size_t at = text.rfind(separator);
    if (at == text.npos) break;
    parts.emplace_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.emplace_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> lines_of(std::string_view text) {
  const std::u32string points = points_of(text);
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t at = 0; at < points.size(); ++at) {
    if (!ends_line(points[at])) continue;
    lines.push_back(text_of_points(Points(points).substr(begin, at - begin)));
    if (points[at] == '\r' && at + 1 < points.size() && points[at + 1] == '\n') ++at;
    begin = at + 1;
  }
  if (begin < points.size())
    lines.push_back(text_of_points(Points(points).substr(begin)));
  return lines;
}

std::string replaced(std::string_view text, std::string_view old, std::string_view by,
                     size_t most) {
  std::string result;
  size_t at = 0;
  for (size_t next = text.find(old); next != text.npos && most > 0; --most) {
    result.append(text, at, next - at).append(by);
    at = next + old.size();
    next = text.find(old, at);
  }
  return result.append(text, at);
}

std::string lower(std::string_view text) {
  return mapped(text, utf8proc_tolower);
}
std::string upper(std::string_view text) {
  return mapped(replaced(text, kSharpS, "SS", text.size()), utf8proc_toupper);
}
std::string capitalized(std::string_view text) {
  size_t at = 0;
  if (!text.empty()) next_code_point(text, at);
  return mapped(text.substr(0, at), utf8proc_totitle) + lower(text.substr(at));
}

}  // namespace mtrain::data::jinja
