// Owns the grammar of JSON; called by the parsing of values. Each dialect's rules were
// found by running its reader (Python 3.11, pyarrow 21, pandas 2.3).
#include "json_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/base/utf8.hpp"

namespace mtrain {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
/// Python reads no whole number of more digits.
constexpr size_t kMostDigits = 4300;
constexpr char32_t kReplacement = 0xfffd;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& place, const JsonRules& rules,
         JsonEvents& events)
      : text_(text), place_(place), rules_(rules), events_(events) {}

  void run();

 private:
  enum class State { kValue, kFirstItem, kKey, kFirstKey, kAfter };

  State next(State state);
  State value();
  State after_value();
  State close();
  void key();
  std::string& string();
  void escape();
  char32_t hex();
  void surrogate(char32_t first);
  void number();
  bool name_of_number(bool negative);
  size_t digits();
  void whole(std::string_view text);
  void real(std::string_view text);

  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
  }
  [[noreturn]] void fault(const std::string& what) const;
  [[noreturn]] void expected(const std::string& what) const;

  std::string_view text_;
  const std::string& place_;
  const JsonRules& rules_;
  JsonEvents& events_;
  size_t at_ = 0;
  std::vector<char> open_;  ///< the brackets that will close
  std::string buffer_;
};

void Reader::fault(const std::string& what) const {
  const std::string_view before = text_.substr(0, at_);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  json_fault(place_, cat("not valid JSON: ", what, ", at line ", line, ", column ",
                         at_ - start + 1));
}

void Reader::expected(const std::string& what) const {
  fault(cat("there should be ", what, at_ == text_.size() ? " where the text ends" : ""));
}

void Reader::run() {
  take(kByteOrderMark);
  const size_t invalid = invalid_utf8(text_);
  if (invalid != text_.size()) {
    at_ = invalid;
    fault("not valid UTF-8");
  }
  State state = State::kValue;
  do {
    skip_space();
    state = next(state);
  } while (state != State::kAfter || !open_.empty());
  skip_space();
  if (at_ != text_.size()) fault("more follows behind the value");
}

Reader::State Reader::next(State state) {
  switch (state) {
    case State::kFirstItem:
      if (take(']')) return close();
      return value();
    case State::kValue:
      return value();
    case State::kFirstKey:
      if (take('}')) return close();
      [[fallthrough]];
    case State::kKey:
      key();
      return State::kValue;
    case State::kAfter:
      break;
  }
  return after_value();
}

Reader::State Reader::close() {
  open_.pop_back();
  events_.close();
  return State::kAfter;
}

Reader::State Reader::after_value() {
  const bool in_object = open_.back() == '}';
  if (take(',')) return in_object ? State::kKey : State::kValue;
  if (take(open_.back())) return close();
  expected(in_object ? "',' or '}'" : "',' or ']'");
}

Reader::State Reader::value() {
  if (take('{') || take('[')) {
    if (open_.size() >= kMaxJsonDepth)
      json_fault(place_, cat("nested deeper than ", kMaxJsonDepth, " levels"));
    const bool object = text_[at_ - 1] == '{';
    open_.push_back(object ? '}' : ']');
    object ? events_.open_object() : events_.open_array();
    return object ? State::kFirstKey : State::kFirstItem;
  }
  if (take('"')) {
    events_.string(string());
  } else if (take("true")) {
    events_.boolean(true);
  } else if (take("false")) {
    events_.boolean(false);
  } else if (take("null")) {
    events_.null();
  } else {
    number();
  }
  return State::kAfter;
}

void Reader::key() {
  if (!take('"')) expected("a key in quotes");
  std::string& name = string();
  skip_space();
  if (!take(':')) expected("':' behind a key");
  events_.key(name);
}

// Behind the opening quote.
std::string& Reader::string() {
  buffer_.clear();
  while (true) {
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
           static_cast<unsigned char>(text_[end]) >= 0x20)
      ++end;
    buffer_.append(text_.substr(at_, end - at_));
    at_ = end;
    if (take('"')) return buffer_;
    if (at_ == text_.size()) fault("a text does not end");
    if (take('\\')) {
      escape();
    } else if (rules_.raw_controls && text_[at_] != '\0') {
      buffer_ += text_[at_++];
    } else {
      fault("a control character in a text is not written as an escape");
    }
  }
}

// Behind the backslash.
void Reader::escape() {
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  const size_t known = at_ < text_.size() ? kLetters.find(text_[at_]) : kLetters.npos;
  if (known != kLetters.npos) {
    buffer_ += kMeant[known];
    ++at_;
  } else if (take('u')) {
    surrogate(hex());
  } else {
    fault("no known escape behind '\\'");
  }
}

char32_t Reader::hex() {
  unsigned value = 0;
  const char* first = text_.data() + at_;
  const size_t left = std::min<size_t>(4, text_.size() - at_);
  const auto [end, error] = std::from_chars(first, first + left, value, 16);
  if (error != std::errc() || end != first + 4)
    fault("'\\u' needs four digits of base 16");
  at_ += 4;
  return value;
}

// `first` is the number of an escape; where it is the first half of a pair, the second
// must follow.
void Reader::surrogate(char32_t first) {
  const auto half = [](char32_t point, char32_t base) {
    return point >= base && point < base + 0x400;
  };
  if (!half(first, 0xd800) && !half(first, 0xdc00))
    return append_code_point(first, buffer_);
  const size_t behind = at_;
  const bool escaped = half(first, 0xd800) && take("\\u");
  const char32_t second = escaped ? hex() : 0;
  if (half(second, 0xdc00))
    return append_code_point(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                             buffer_);
  at_ = behind;
  if (rules_.half == JsonRules::Half::kReplaced)
    return append_code_point(kReplacement, buffer_);
  const bool dropped = rules_.half == JsonRules::Half::kFirstDropped;
  if (!dropped || escaped || half(first, 0xdc00))
    fault("half of a surrogate pair stands alone");
}

size_t Reader::digits() {
  const size_t begin = at_;
  while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  return at_ - begin;
}

void Reader::number() {
  const size_t begin = at_;
  const bool negative = take('-');
  if (name_of_number(negative)) return;
  const size_t first = at_;
  const size_t count = digits();
  if (count == 0) {
    at_ = begin;
    expected("a value");
  }
  if (count > 1 && text_[first] == '0' && !rules_.loose_numbers)
    fault("a number begins with 0");
  const bool point = take('.');
  if (point && digits() == 0 && !rules_.loose_numbers) expected("a digit behind '.'");
  const bool power = take('e') || take('E');
  if (power) {
    if (!take('-')) take('+');
    if (digits() == 0) expected("a digit  of an exponent");
  }
  const std::string_view text = text_.substr(begin, at_ - begin);
  point || power ? real(text) : whole(text);
}

bool Reader::name_of_number(bool negative) {
  if (!rules_.non_finite) return false;
  const double sign = negative ? -1 : 1;
  if ((!negative || rules_.more_names) && take("NaN")) {
    rules_.nan_is_null ? events_.null()
                       : events_.real(std::numeric_limits<double>::quiet_NaN());
    return true;
  }
  if (!take("Infinity") && !(rules_.more_names && take("Inf"))) return false;
  events_.real(sign * std::numeric_limits<double>::infinity());
  return true;
}

void Reader::whole(std::string_view text) {
  const char* end = text.data() + text.size();
  int64_t value = 0;
  uint64_t large = 0;
  if (text[0] == '-') {
    if (std::from_chars(text.data(), end, value).ec == std::errc())
      return events_.integer(value);
  } else if (std::from_chars(text.data(), end, large).ec == std::errc()) {
    if (!rules_.signed_only || large <= uint64_t{std::numeric_limits<int64_t>::max()})
      return events_.unsigned_integer(large);
    return real(text);
  }
  if (rules_.wide == JsonRules::Wide::kReal) return real(text);
  if (rules_.wide == JsonRules::Wide::kRefused) fault("a whole number has over 64 bits");
  if (text.size() > kMostDigits)
    fault(cat("a whole number has more than ", kMostDigits, " digits"));
  events_.digits(text);
}

void Reader::real(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  // Tells no overflow from underflow, which is read as 0.
  if (error != std::errc()) value = std::strtod(std::string(text).c_str(), nullptr);
  if (!std::isfinite(value) && !rules_.overflow) fault("a number is too large");
  events_.real(value);
}

}  // namespace

JsonRules json_rules(JsonDialect dialect) {
  JsonRules rules;
  switch (dialect) {
    case JsonDialect::kStrict:
      break;
    case JsonDialect::kPython:
    case JsonDialect::kPythonText:
      rules.repeated_keys = rules.non_finite = rules.overflow = true;
      if (dialect == JsonDialect::kPython)
        rules.half = JsonRules::Half::kReplaced;
      else
        rules.wide = JsonRules::Wide::kDigits;
      break;
    case JsonDialect::kArrow:
      rules.non_finite = rules.more_names = rules.signed_only = true;
      break;
    case JsonDialect::kPandas:
      rules.repeated_keys = rules.non_finite = rules.nan_is_null = true;
      rules.overflow = rules.loose_numbers = rules.raw_controls = true;
      rules.signed_only = true;
      rules.wide = JsonRules::Wide::kRefused;
      rules.half = JsonRules::Half::kFirstDropped;
      break;
  }
  return rules;
}

void json_fault(const std::string& place, const std::string& what) {
  throw UserError(place.empty() ? what : cat(place, ": ", what));
}

void read_json(std::string_view text, const std::string& place, const JsonRules& rules,
               JsonEvents& events) {
  Reader(text, place, rules, events).run();
}

}  // namespace mtrain
