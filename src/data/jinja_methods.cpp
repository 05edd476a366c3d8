// Owns the methods of texts; called by the lookup of attributes in Jinja templates.
#include <utf8proc.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "jinja_call.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr auto kAll = std::numeric_limits<size_t>::max();

const std::string& self_text(const Value& self, Budget& budget) {
  const std::string& text = *text_of(self);
  budget.spend_bytes(text.size());
  return text;
}

size_t most(int64_t given) {
  return given < 0 ? kAll : static_cast<size_t>(given);
}

Value texts(std::vector<std::string> parts, Budget& budget) {
  std::vector<Value> items;
  for (std::string& part : parts) {
    budget.spend_bytes(part.size());
    items.push_back(text_value(std::move(part)));
  }
  return list_value(std::move(items));
}

template <Side side>
Value stripped(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("strip", arguments, {"chars"});
  return text_value(strip(self_text(self, budget), bound.optional_text(0), side));
}

// The text itself, or a tuple of them, any of which will do.
bool any_of_texts(const Value& given,
                  const std::function<bool(const std::string&)>& fits) {
  if (const std::string* text = text_of(given)) return fits(*text);
  const List* list = list_of(given);
  if (!list || list->flavor != Flavor::kTuple)
    throw Fault{cat("compares a text with a ", type_name(given))};
  return std::any_of(list->items.begin(), list->items.end(),
                     [&](const Value& item) { return any_of_texts(item, fits); });
}

Value starts_with(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("startswith", arguments, {"prefix"});
  const std::string& text = self_text(self, budget);
  return any_of_texts(bound.need(0),
                      [&](const std::string& part) { return text.starts_with(part); });
}

Value ends_with(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("endswith", arguments, {"suffix"});
  const std::string& text = self_text(self, budget);
  return any_of_texts(bound.need(0),
                      [&](const std::string& part) { return text.ends_with(part); });
}

std::string separator_of(const Bound& bound, size_t i) {
  const std::string separator = bound.text(i, "");
  if (separator.empty()) throw Fault{"uses an empty separator"};
  return separator;
}

Value split_left(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const std::string& text = self_text(self, budget);
  std::optional<std::string> separator = bound.optional_text(0);
  if (separator) separator = separator_of(bound, 0);
  budget.spend(text.size());
  return texts(split_text(text, separator, most(bound.integer(1, -1))), budget);
}

Value split_right(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("rsplit", arguments, {"sep", "maxsplit"});
  const std::string& text = self_text(self, budget);
  budget.spend(text.size());
  return texts(split_from_right(text, separator_of(bound, 0), most(bound.integer(1, -1))),
               budget);
}

Value split_lines(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("splitlines", arguments, {});
  const std::string& text = self_text(self, budget);
  budget.spend(text.size());
  return texts(lines_of(text), budget);
}

Value replace(const Value& self, const Arguments& arguments, Budget& budget) {
  return apply_filter("replace", self, arguments, budget);
}

Value join_with(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("join", arguments, {"items"});
  const std::string& separator = self_text(self, budget);
  std::string result;
  bool first = true;
  for (const Value& item : items_of(bound.need(0), budget)) {
    const std::string* text = text_of(item);
    if (!text) throw Fault{cat("joins a ", type_name(item), " to a text")};
    budget.spend_bytes(separator.size() + text->size());
    if (!first) result += separator;
    result += *text;
    first = false;
  }
  return text_value(std::move(result));
}

template <std::string (*map)(std::string_view)>
Value mapped(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("a method of a text", arguments, {});
  return text_value(map(self_text(self, budget)));
}

bool has_case(char32_t point) {
  const auto code = static_cast<utf8proc_int32_t>(point);
  return utf8proc_tolower(code) != code || utf8proc_toupper(code) != code;
}

// str.title(): every run of letters begins with a capital one.
std::string titled(std::string_view text) {
  std::string result;
  bool inside = false;
  for (const char32_t point : points_of(text)) {
    const std::string letter = text_of_points(std::u32string(1, point));
    result += inside ? lower(letter) : upper(letter);
    inside = has_case(point);
  }
  return result;
}

bool is_letter(char32_t point) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(point));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point)) == UTF8PROC_CATEGORY_ND;
}

template <bool (*fits)(char32_t)>
Value all_letters(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("a method of a text", arguments, {});
  const std::u32string points = points_of(self_text(self, budget));
  return !points.empty() && std::all_of(points.begin(), points.end(), fits);
}

template <bool from_right>
Value position_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("find", arguments, {"part"});
  const std::string& text = self_text(self, budget);
  const std::string part = bound.text(0, "");
  const size_t at = from_right ? text.rfind(part) : text.find(part);
  return at == text.npos ? int64_t{-1}
                         : static_cast<int64_t>(length_of(text.substr(0, at)));
}

Value count_in(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("count", arguments, {"part"});
  const std::string& text = self_text(self, budget);
  const std::string part = separator_of(bound, 0);
  int64_t count = 0;
  for (size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + part.size()))
    ++count;
  return count;
}

Value without_prefix(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("removeprefix", arguments, {"prefix"});
  const std::string& text = self_text(self, budget);
  const std::string prefix = bound.text(0, "");
  return text_value(text.starts_with(prefix) ? text.substr(prefix.size()) : text);
}

Value without_suffix(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("removesuffix", arguments, {"suffix"});
  const std::string& text = self_text(self, budget);
  const std::string suffix = bound.text(0, "");
  return text_value(text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size())
                                           : text);
}

template <bool upper_case>
Value has_only_case(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("a method of a text", arguments, {});
  return apply_test(upper_case ? "upper" : "lower", self, {}, budget);
}

const std::map<std::string_view, MethodCall>& methods() {
  static const std::map<std::string_view, MethodCall> table = {
      {"capitalize", mapped<capitalized>},
      {"count", count_in},
      {"endswith", ends_with},
      {"find", position_of<false>},
      {"isalpha", all_letters<is_letter>},
      {"isdigit", all_letters<is_digit>},
      {"islower", has_only_case<false>},
      {"isspace", all_letters<is_python_space>},
      {"isupper", has_only_case<true>},
      {"join", join_with},
      {"lower", mapped<lower>},
      {"lstrip", stripped<Side::kLeft>},
      {"removeprefix", without_prefix},
      {"removesuffix", without_suffix},
      {"replace", replace},
      {"rfind", position_of<true>},
      {"rsplit", split_right},
      {"rstrip", stripped<Side::kRight>},
      {"split", split_left},
      {"splitlines", split_lines},
      {"startswith", starts_with},
      {"strip", stripped<Side::kBoth>},
      {"title", mapped<titled>},
      {"upper", mapped<upper>}};
  return table;
}

constexpr std::string_view kNotBuilt[] = {
    "casefold",    "center",     "encode",   "expandtabs", "format",       "format_map",
    "index",       "isalnum",    "isascii",  "isdecimal",  "isidentifier", "isnumeric",
    "isprintable", "istitle",    "ljust",    "maketrans",  "partition",    "rindex",
    "rjust",       "rpartition", "swapcase", "translate",  "zfill"};

}  // namespace

MethodCall find_text_method(const std::string& name) {
  const auto found = methods().find(name);
  if (found != methods().end()) return found->second;
  if (std::find(std::begin(kNotBuilt), std::end(kNotBuilt), name) != std::end(kNotBuilt))
    throw Fault{cat("uses .", name, "() of a text, which this program does not know")};
  return nullptr;
}

}  // namespace mtrain::data::jinja
