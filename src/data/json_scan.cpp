// Owns the search for the elements of a JSON list; called by the record files.
#include "json_scan.hpp"

#include "mtrain/base/text.hpp"

namespace mtrain::data {
namespace {

size_t skip_space(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(kJsonSpace, at), text.size());
}

// One past the string that begins at `at`, or npos where it does not end.
size_t end_of_string(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    i = text.find_first_of("\"\\", i);
    if (i == text.npos) return i;
    if (text[i] == '"') return i + 1;
    ++i;
  }
  return text.npos;
}

// One past the value that begins at `at`: the comma or bracket that ends it at its own
// depth, or npos.
size_t end_of_value(std::string_view text, size_t at) {
  size_t depth = 0;
  while ((at = text.find_first_of("\"[]{},", at)) != text.npos) {
    const char c = text[at];
    if (c == '"') {
      at = end_of_string(text, at);
      if (at == text.npos) return at;
      continue;
    }
    if (depth == 0 && (c == ',' || c == ']' || c == '}')) return at;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    ++at;
  }
  return at;
}

}  // namespace

std::string scan_json_list(std::string_view text,
                           const std::function<void(size_t, size_t)>& take) {
  size_t at = skip_space(text, 0);
  if (at == text.size() || text[at] != '[') return "holds no list";
  at = skip_space(text, at + 1);
  const bool empty = at < text.size() && text[at] == ']';
  for (size_t count = 1; !empty; ++count) {
    const size_t end = end_of_value(text, at);
    if (end == text.npos) return cat("ends within element ", count, " of its list");
    take(at, text.find_last_not_of(kJsonSpace, end - 1) + 1);
    at = end;
    if (text[at] == ']') break;
    if (text[at] != ',') return cat("element ", count, " of its list ends with '}'");
    at = skip_space(text, at + 1);
  }
  at = skip_space(text, at + 1);
  return at == text.size() ? "" : cat("goes on behind its list, at byte ", at);
}

}  // namespace mtrain::data
