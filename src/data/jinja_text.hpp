// Texts as Python's str treats them: code points, white space, splitting.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data::jinja {

/// Code points of valid UTF-8, and back.
std::u32string points_of(std::string_view text);
std::string text_of_points(std::u32string_view points);
/// Number of code points.
size_t length_of(std::string_view text);

/// str.isspace() of one letter.
bool is_python_space(char32_t point);

enum class Side { kLeft, kRight, kBoth };
/// str.strip() and its like; without `letters` white space.
std::string strip(std::string_view text, const std::optional<std::string>& letters,
                  Side side);
/// str.split(separator, most); without separator at runs of white space.
std::vector<std::string> split_text(std::string_view text,
                                    const std::optional<std::string>& separator,
                                    size_t most);
/// str.rsplit(separator, most)
std::vector<std::string> split_from_right(std::string_view text,
                                          const std::string& separator, size_t most);
/// str.splitlines()
std::vector<std::string> lines_of(std::string_view text);
/// str.replace(old, by, most); `old` is not empty.
std::string replaced(std::string_view text, std::string_view old, std::string_view by,
                     size_t most);
std::string lower(std::string_view text);
std::string upper(std::string_view text);
/// str.capitalize()
std::string capitalized(std::string_view text);

}  // namespace mtrain::data::jinja
