// Owns the differences between Oniguruma's dialect (Ruby syntax), in which tokenizer.json
// writes its patterns, and PCRE2's. Called when a pattern is compiled.
#include <string>
#include <string_view>

#include "mtrain/base/error.hpp"
#include "regex.hpp"

namespace mtrain::data {
namespace {

// White_Space. PCRE2's own \s also holds U+180E.
constexpr std::string_view kSpaces =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kSameEscapes = "rntpPdDfve";
constexpr std::string_view kPunctuation = R"(\.*+?()[]{}|^$/-'"#&,:;<=>@_`~!% )";

class Translator {
 public:
  Translator(const std::string& pattern, const std::string& place)
      : pattern_(pattern), place_(place) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\')
        escape();
      else if (in_class_)
        inside_class(c);
      else
        outside_class(c);
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw UserError(cat(place_, ": '", what, "' in the pattern is not supported"));
  }

  void copy(size_t count) {
    out_.append(pattern_, at_, count);
    at_ += count;
  }

  bool follows(std::string_view text) const {
    return std::string_view(pattern_).substr(at_).starts_with(text);
  }

  void escape() {
    if (at_ + 1 >= pattern_.size()) refuse("\\");
    const char c = pattern_[at_ + 1];
    if (c == 's' || c == 'S')
      space(c == 'S');
    else if (kSameEscapes.find(c) != kSameEscapes.npos ||
             kPunctuation.find(c) != kPunctuation.npos)
      copy(2);
    else
      refuse(std::string_view(pattern_).substr(at_, 2));
  }

  void space(bool negated) {
    if (in_class_ && negated) refuse("\\S inside []");
    if (!in_class_) out_ += negated ? "[^" : "[";
    out_ += kSpaces;
    if (!in_class_) out_ += ']';
    at_ += 2;
  }

  void inside_class(char c) {
    if (c == '[') refuse("[ inside []");
    if (follows("&&")) refuse("&&");
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void outside_class(char c) {
    // In Ruby's syntax these match at every line, there {,n} counts, and (?m) means (?s).
    if (c == '^' || c == '$') refuse(std::string_view(&c, 1));
    if (follows("{,")) refuse("{,");
    if (follows("(?") && !group_is_supported()) refuse("this kind of (?");
    if (c == '[') {
      in_class_ = true;
      copy(follows("[^") ? 2 : 1);
    } else {
      copy(1);
    }
  }

  bool group_is_supported() const {
    for (const auto* start : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)"})
      if (follows(start)) return true;
    return false;
  }

  const std::string& pattern_;
  const std::string& place_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string to_pcre2_dialect(const std::string& pattern, const std::string& place) {
  return Translator(pattern, place).run();
}

}  // namespace mtrain::data
