// Thoughts of reasoning models: blocks "<think>\n...\n</think>\n\n" in responses.
#pragma once

#include <string>
#include <string_view>

namespace mtrain::data {

/// The thought put where a response has none: tokenized on its own.
inline constexpr std::string_view kEmptyThought = "<think>\n\n</think>\n\n";

/// Whether `content` mentions thinking at all, in whatever form.
bool has_thought(std::string_view content);

/// `content` without its thoughts and without line ends at its start.
std::string without_thoughts(const std::string& content);

}  // namespace mtrain::data
