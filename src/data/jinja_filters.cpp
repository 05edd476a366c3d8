// Owns the filters of Jinja templates on single values; called by its evaluator.
#include "jinja_filters.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "jinja_call.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr int64_t kWidestIndent = 64;
constexpr int64_t kMostDigits = 15;

Value length(const Value& value, const Arguments&, Budget& budget) {
  const List* list = list_of(value);
  if (list && list->flavor == Flavor::kLazy)
    throw Fault{"asks for the length of what a filter makes item by item"};
  if (list) return static_cast<int64_t>(list->items.size());
  if (const Dict* dict = dict_of(value)) return static_cast<int64_t>(dict->items.size());
  if (is_undefined(value)) return int64_t{0};
  const std::string* text = text_of(value);
  if (!text) throw Fault{cat("asks for the length of a ", type_name(value))};
  budget.spend_bytes(text->size());
  return static_cast<int64_t>(length_of(*text));
}

Value absolute(const Value& value, const Arguments&, Budget&) {
  double number = 0;
  if (!number_of(value, number))
    throw Fault{cat("asks for |abs of a ", type_name(value))};
  return number < 0 ? signed_value("-", value) : signed_value("+", value);
}

Value default_value(const Value& value, const Arguments& arguments, Budget&) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  if (!is_undefined(value) && !(bound.flag(1, false) && !truthy(value))) return value;
  return bound.at(0) ? *bound.at(0) : text_value("");
}

Value trimmed(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("trim", arguments, {"chars"});
  return text_value(strip(to_text(value, budget), bound.optional_text(0), Side::kBoth));
}

template <std::string (*map)(std::string_view)>
Value mapped(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("a filter", arguments, {});
  return text_value(map(to_text(value, budget)));
}

// Words begin behind white space and - ( { [ <.
std::string titled(std::string_view text) {
  std::string result;
  bool inside = false;
  for (const char32_t point : points_of(text)) {
    const std::string letter = text_of_points(std::u32string(1, point));
    result += inside ? lower(letter) : upper(letter);
    inside = !is_python_space(point) &&
             std::u32string_view(U"-({[<").find(point) == std::u32string_view::npos;
  }
  return result;
}

Value as_text(const Value& value, const Arguments&, Budget& budget) {
  return text_value(to_text(value, budget));
}

Value same(const Value& value, const Arguments&, Budget& budget) {
  return text_of(value) ? value : text_value(to_text(value, budget));
}

Value replace(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  const std::string text = to_text(value, budget);
  const std::string old = to_text(bound.need(0), budget);
  const std::string by = to_text(bound.need(1), budget);
  if (old.empty())
    throw Fault{"replaces the empty text, which this program does not know"};
  const int64_t count = bound.integer(2, -1);
  const size_t possible = text.size() / old.size();
  budget.spend_bytes(text.size() + possible * by.size());
  return text_value(replaced(
      text, old, by,
      count < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(count)));
}

Value indented(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (!text_of(value)) throw Fault{cat("indents a value of type ", type_name(value))};
  const bool by_text = bound.at(0) && text_of(*bound.at(0));
  const int64_t width = by_text ? 0 : bound.integer(0, 4);
  if (width < 0 || width > kWidestIndent) throw Fault{"indents by too much"};
  const std::string by =
      by_text ? bound.text(0, "") : std::string(static_cast<size_t>(width), ' ');
  const std::vector<std::string> lines = lines_of(*text_of(value) + "\n");
  std::string result = bound.flag(1, false) ? by : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    budget.spend_bytes(by.size() + lines[i].size());
    if (i > 0) result += "\n";
    if (i > 0 && (bound.flag(2, false) || !lines[i].empty())) result += by;
    result += lines[i];
  }
  return text_value(std::move(result));
}

[[noreturn]] void refuse_undefined(const Value& value) {
  throw Fault{cat("makes a number of ", missing_name(value), ", which is not defined")};
}

// The number a text spells, as Python's float() reads it; nothing for other texts.
std::optional<double> spelled_number(const std::string& text) {
  std::string digits = strip(text, std::nullopt, Side::kBoth);
  if (digits.starts_with('+')) digits.erase(0, 1);
  double number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (digits.empty() || stop != end || error != std::errc()) return std::nullopt;
  return number;
}

Value to_integer(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("int", arguments, {"default"});
  if (is_undefined(value)) refuse_undefined(value);
  const Value otherwise = bound.at(0) ? *bound.at(0) : Value(int64_t{0});
  int64_t room = 0;
  if (const int64_t* integer = integer_of(value, room)) return *integer;
  std::optional<double> number;
  if (const double* real = get<double>(value)) number = *real;
  if (const std::string* text = text_of(value)) {
    budget.spend_bytes(text->size());
    const std::string digits = strip(*text, std::nullopt, Side::kBoth);
    int64_t integer = 0;
    const char* end = digits.data() + digits.size();
    const size_t sign = digits.starts_with('+') ? 1 : 0;
    const auto [stop, error] = std::from_chars(digits.data() + sign, end, integer);
    if (!digits.empty() && stop == end && error == std::errc()) return integer;
    number = spelled_number(*text);
  }
  if (!number || !std::isfinite(*number)) return otherwise;
  if (std::abs(*number) > 9e18) throw Fault{"makes a whole number beyond 64 bits"};
  return static_cast<int64_t>(*number);
}

Value to_real(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("float", arguments, {"default"});
  if (is_undefined(value)) refuse_undefined(value);
  double number = 0;
  if (number_of(value, number)) return number;
  if (const std::string* text = text_of(value)) {
    budget.spend_bytes(text->size());
    if (const auto spelled = spelled_number(*text)) return *spelled;
  }
  return bound.at(0) ? *bound.at(0) : Value(0.0);
}

Value rounded(const Value& value, const Arguments& arguments, Budget&) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t digits = bound.integer(0, 0);
  const std::string method = bound.text(1, "common");
  double number = 0;
  if (!number_of(value, number) || digits < 0 || digits > kMostDigits)
    throw Fault{"rounds in a way this program does not know"};
  if (method == "common") {
    if (!get<double>(value)) return signed_value("+", value);
    const std::string spelled = formatted(cat("%.", digits, "f").c_str(), number);
    return std::strtod(spelled.c_str(), nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") return std::ceil(number * scale) / scale;
  if (method == "floor") return std::floor(number * scale) / scale;
  throw Fault{"rounds by a method other than common, ceil and floor"};
}

Value json(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("tojson", arguments,
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonLayout layout;
  layout.ascii = bound.flag(0, false);
  layout.sort_keys = bound.flag(3, false);
  layout.indented = bound.at(1) && !get<None>(*bound.at(1));
  if (layout.indented) {
    const int64_t width = bound.integer(1, 0);
    if (width < 0 || width > kWidestIndent) throw Fault{"indents JSON by too much"};
    layout.indent = std::string(static_cast<size_t>(width), ' ');
    layout.item_separator = ",";
  }
  if (bound.at(2) && !get<None>(*bound.at(2))) {
    const std::vector<Value> given = items_of(*bound.at(2), budget);
    if (given.size() != 2 || !text_of(given[0]) || !text_of(given[1]))
      throw Fault{"gives tojson separators that are not two texts"};
    layout.item_separator = *text_of(given[0]);
    layout.key_separator = *text_of(given[1]);
  }
  return text_value(to_json(value, layout, budget));
}

}  // namespace

const FilterTable& value_filters() {
  static const FilterTable table = {{"abs", absolute},
                                    {"capitalize", mapped<capitalized>},
                                    {"count", length},
                                    {"d", default_value},
                                    {"default", default_value},
                                    {"float", to_real},
                                    {"indent", indented},
                                    {"int", to_integer},
                                    {"length", length},
                                    {"lower", mapped<lower>},
                                    {"replace", replace},
                                    {"round", rounded},
                                    {"safe", same},
                                    {"string", as_text},
                                    {"title", mapped<titled>},
                                    {"tojson", json},
                                    {"trim", trimmed},
                                    {"upper", mapped<upper>}};
  return table;
}

}  // namespace mtrain::data::jinja
