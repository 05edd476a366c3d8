// Owns the cutting of Jinja text into tokens; called by the template.
#include "jinja_lexer.hpp"

#include <algorithm>
#include <array>

#include "jinja_literal.hpp"
#include "jinja_text.hpp"
#include "jinja_value.hpp"
#include "mtrain/base/text.hpp"
#include "utf8.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr std::array<std::string_view, 24> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~",
    "[",  "]",  "(",  ")",  "{",  "}",  ">", "<", "=", ".", ":", "|"};

// Every end of line becomes \n, and one at the end of all is dropped.
std::string normalized(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalized(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) next_data();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view what) const {
    return std::string_view(text_).substr(at_, what.size()) == what;
  }
  void add(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }
  // Moves to `end`, counting lines.
  void move_to(size_t end) {
    line_ +=
        static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(at_),
                                    text_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    at_ = end;
  }
  void skip_space() {
    size_t end = at_;
    while (end < text_.size()) {
      size_t behind = end;
      if (!is_python_space(next_code_point(text_, behind))) break;
      end = behind;
    }
    move_to(end);
  }
  void next_data();
  std::string stripped_data(size_t begin, size_t end, char sign, bool variable) const;
  void comment();
  bool raw();
  void tag(TokenKind begin, TokenKind end, std::string_view mark);
  bool tag_ends(std::string_view mark);
  void inner_token();
  void number();
  void literal();
  void bracket(char c);
  void trim_line();

  std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<char> open_;  ///< closing brackets that are awaited
  std::vector<Token> tokens_;
};

// Text up to the next tag, and the tag.
void Lexer::next_data() {
  const size_t begin = at_;
  size_t tag_at = begin;
  for (tag_at = text_.find('{', begin); tag_at != text_.npos;
       tag_at = text_.find('{', tag_at + 1))
    if (tag_at + 1 < text_.size() &&
        std::string_view("%{#").find(text_[tag_at + 1]) != std::string_view::npos)
      break;
  if (tag_at == text_.npos) {
    add(TokenKind::kData, text_.substr(begin));
    move_to(text_.size());
    return;
  }
  const char kind = text_[tag_at + 1];
  const char next = tag_at + 2 < text_.size() ? text_[tag_at + 2] : ' ';
  const char sign = next == '-' || next == '+' ? next : ' ';
  std::string data = stripped_data(begin, tag_at, sign, kind == '{');
  if (!data.empty()) add(TokenKind::kData, std::move(data));
  move_to(tag_at + (sign == ' ' ? 2 : 3));
  if (kind == '#') return comment();
  if (kind == '{') return tag(TokenKind::kVariableBegin, TokenKind::kVariableEnd, "}}");
  if (!raw()) tag(TokenKind::kBlockBegin, TokenKind::kBlockEnd, "%}");
}

// What a tag's sign, or the start of its line, takes from the text before it.
std::string Lexer::stripped_data(size_t begin, size_t end, char sign,
                                 bool variable) const {
  std::string data = text_.substr(begin, end - begin);
  if (sign == '-') return strip(data, std::nullopt, Side::kRight);
  if (sign == '+' || variable) return data;
  const size_t line = data.rfind('\n') + 1;
  const bool starts_line = line > 0 || begin == 0 || text_[begin - 1] == '\n';
  if (starts_line && strip(data.substr(line), std::nullopt, Side::kBoth).empty())
    data.resize(line);
  return data;
}

// Behind the end of a block: one end of line belongs to it.
void Lexer::trim_line() {
  if (looking_at("\n")) move_to(at_ + 1);
}

void Lexer::comment() {
  const size_t end = text_.find("#}", at_);
  if (end == text_.npos) throw Fault{"has a comment without end", line_};
  // The sign of "{#-}" can't be that of the end as well.
  const char sign = end > at_ ? text_[end - 1] : ' ';
  move_to(end + 2);
  if (sign == '-')
    skip_space();
  else if (sign != '+')
    trim_line();
}

// {% raw %} up to {% endraw %}, whose text holds no tags. The start was read.
bool Lexer::raw() {
  const size_t begin = at_;
  const int line = line_;
  skip_space();
  if (!looking_at("raw") || (at_ + 3 < text_.size() &&
                             (starts_name(text_[at_ + 3]) || is_digit(text_[at_ + 3])))) {
    at_ = begin;
    line_ = line;
    return false;
  }
  throw Fault{"uses {% raw %}, which this program does not know", line};
}

void Lexer::tag(TokenKind begin, TokenKind end, std::string_view mark) {
  add(begin, "");
  const int line = line_;
  while (true) {
    skip_space();
    if (at_ >= text_.size()) throw Fault{"has a tag without end", line};
    if (open_.empty() && tag_ends(mark)) break;
    inner_token();
  }
  tokens_.push_back({end, "", line_});
}

bool Lexer::tag_ends(std::string_view mark) {
  const bool block = mark == "%}";
  if (looking_at(cat("-", mark))) {
    move_to(at_ + 1 + mark.size());
    skip_space();
    return true;
  }
  if (block && looking_at(cat("+", mark))) {
    move_to(at_ + 1 + mark.size());
    return true;
  }
  if (!looking_at(mark)) return false;
  move_to(at_ + mark.size());
  if (block) trim_line();
  return true;
}

void Lexer::inner_token() {
  const char c = text_[at_];
  if (is_digit(c)) return number();
  if (c == '\'' || c == '"') return literal();
  if (starts_name(c)) {
    size_t end = at_;
    while (end < text_.size() && (starts_name(text_[end]) || is_digit(text_[end]))) ++end;
    add(TokenKind::kName, text_.substr(at_, end - at_));
    return move_to(end);
  }
  for (const std::string_view symbol : kOperators)
    if (looking_at(symbol)) {
      if (symbol.size() == 1) bracket(c);
      add(TokenKind::kOperator, std::string(symbol));
      return move_to(at_ + symbol.size());
    }
  if (c == ',') {
    add(TokenKind::kOperator, ",");
    return move_to(at_ + 1);
  }
  throw Fault{cat("has an unexpected '", std::string(1, c), "' in a tag"), line_};
}

void Lexer::bracket(char c) {
  constexpr std::string_view kOpen = "([{", kClose = ")]}";
  const size_t opens = kOpen.find(c);
  if (opens != kOpen.npos) return open_.push_back(kClose[opens]);
  if (kClose.find(c) == kClose.npos) return;
  if (open_.empty() || open_.back() != c)
    throw Fault{cat("has an unexpected '", std::string(1, c), "'"), line_};
  open_.pop_back();
}

// Digits, with a fraction or an exponent for a real number; 1.x is an item of 1.
void Lexer::number() {
  const bool behind_dot = at_ > 0 && text_[at_ - 1] == '.';
  size_t end = at_;
  const auto digits = [&](size_t from) {
    while (from < text_.size() && (is_digit(text_[from]) || text_[from] == '_')) ++from;
    return from;
  };
  const auto digit_at = [&](size_t at) {
    return at < text_.size() && is_digit(text_[at]);
  };
  end = digits(at_);
  bool real = false;
  if (!behind_dot && end < text_.size() && text_[end] == '.' && digit_at(end + 1)) {
    real = true;
    end = digits(end + 1);
  }
  if (!behind_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    const bool sign =
        end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-');
    if (digit_at(end + (sign ? 2 : 1))) {
      real = true;
      end = digits(end + (sign ? 2 : 1));
    }
  }
  std::string text = text_.substr(at_, end - at_);
  std::erase(text, '_');
  if (end < text_.size() && starts_name(text_[end]))
    throw Fault{cat("has an unexpected number '", text, "'"), line_};
  add(real ? TokenKind::kReal : TokenKind::kInteger, std::move(text));
  move_to(end);
}

void Lexer::literal() {
  const char quote = text_[at_];
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) throw Fault{"has a text without end", line_};
  add(TokenKind::kText,
      unescaped(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
  move_to(end + 1);
}

}  // namespace

std::vector<Token> tokens_of(std::string_view source) {
  if (invalid_utf8(source) != source.size()) throw Fault{"is not valid UTF-8"};
  return Lexer(source).run();
}

}  // namespace mtrain::data::jinja
