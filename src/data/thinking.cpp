// Owns the recognition of thoughts in responses; called by the sft encoder. Matches
// LLaMA-Factory's ReasoningTemplate.
#include "thinking.hpp"

namespace mtrain::data {
namespace {
constexpr std::string_view kOpen = "<think>\n";
constexpr std::string_view kClose = "\n</think>\n\n";
}  // namespace

bool has_thought(std::string_view content) {
  return content.find("<think>") != content.npos ||
         content.find("</think>") != content.npos;
}

std::string without_thoughts(const std::string& content) {
  std::string kept;
  size_t at = 0;
  while (true) {
    const size_t open = content.find(kOpen, at);
    const size_t close =
        open == content.npos ? open : content.find(kClose, open + kOpen.size());
    if (close == content.npos) break;
    kept.append(content, at, open - at);
    at = close + kClose.size();
  }
  kept.append(content, at);
  kept.erase(0, kept.find_first_not_of('\n'));
  return kept;
}

}  // namespace mtrain::data
