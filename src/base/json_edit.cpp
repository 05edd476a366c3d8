// Owns edits of JSON texts that keep what they don't touch; called by the export of a
// model's small files.
#include "mtrain/base/json_edit.hpp"

#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// Walks the outermost object of a JSON text; it sees no more of values than their ends.
class Walker {
 public:
  explicit Walker(const std::string& text) : text_(text) {}

  size_t at() const { return at_; }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != npos)
      ++at_;
  }
  char look() {
    skip_space();
    if (at_ >= text_.size()) fail();
    return text_[at_];
  }
  void take(char expected) {
    if (look() != expected) fail();
    ++at_;
  }
  /// The text between two quotes, escapes as they are written.
  std::string_view string() {
    take('"');
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) fail();
    return std::string_view(text_).substr(begin, at_++ - begin);
  }
  /// Passes one value of any kind.
  void value() {
    size_t depth = 0;
    do {
      const char c = look();
      if (c == '"') {
        string();
      } else if (c == '{' || c == '[') {
        ++depth, ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) fail();
        --depth, ++at_;
      } else if (depth > 0 && (c == ',' || c == ':')) {
        ++at_;
      } else {
        atom();
      }
    } while (depth > 0);
  }

 private:
  static constexpr size_t npos = std::string_view::npos;

  void atom() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n,:]}[{\"").find(text_[at_]) == npos)
      ++at_;
    if (at_ == begin) fail();
  }
  [[noreturn]] void fail() const {
    throw UserError(cat("not a JSON object: unexpected end or mark at byte ", at_));
  }

  const std::string& text_;
  size_t at_ = 0;
};

struct Span {
  size_t begin, end;
};

struct Members {
  std::vector<Span> values;  ///< of the key that was looked for
  size_t end;                ///< after the last member, or after the opening brace
  bool empty;
};

Members find_members(const std::string& text, std::string_view key) {
  Walker walker(text);
  walker.take('{');
  Members found{{}, walker.at(), true};
  while (walker.look() != '}') {
    if (!found.empty) walker.take(',');
    walker.look();
    const bool wanted = walker.string() == key;
    walker.take(':');
    walker.look();
    const size_t begin = walker.at();
    walker.value();
    if (wanted) found.values.push_back({begin, walker.at()});
    found.end = walker.at();
    found.empty = false;
  }
  return found;
}

}  // namespace

std::string with_member(const std::string& text, std::string_view key,
                        const nlohmann::json& value) {
  const Members found = find_members(text, key);
  const std::string written = value.dump();
  std::string result = text;
  for (size_t i = found.values.size(); i-- > 0;) {
    const Span span = found.values[i];
    result.replace(span.begin, span.end - span.begin, written);
  }
  if (!found.values.empty()) return result;
  const std::string member =
      cat(found.empty ? "" : ",", "\n  ", nlohmann::json(key).dump(), ": ", written);
  return result.insert(found.end, member);
}

}  // namespace mtrain
