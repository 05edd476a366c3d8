// Owns the spelling of values as text: str(), repr() and json.dumps() of Python; called
// by the Jinja interpreter.
#include <algorithm>

#include "jinja_text.hpp"
#include "jinja_value.hpp"
#include "mtrain/base/text.hpp"
#include "python_json.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr char32_t kLastOfPlane = 0xffff;

std::string hex(const char* format, unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string repr(const Value& value);

std::string repr_text(const std::string& text) {
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\')
      result += {'\\', c};
    else if (c == '\n')
      result += "\\n";
    else if (c == '\r')
      result += "\\r";
    else if (c == '\t')
      result += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      result += hex("\\x%02x", byte);
    else
      result += c;
  }
  return result + quote;
}

std::string repr_list(const List& list) {
  if (list.flavor == Flavor::kView || list.flavor == Flavor::kLazy)
    throw Fault{"prints what is not a list but a view of one"};
  std::vector<std::string> items;
  for (const Value& item : list.items) items.push_back(repr(item));
  if (list.flavor == Flavor::kList) return cat("[", join(items, ", "), "]");
  return cat("(", join(items, ", "), items.size() == 1 ? ",)" : ")");
}

std::string repr_dict(const Dict& dict) {
  std::vector<std::string> items;
  for (const auto& [key, value] : dict.items)
    items.push_back(cat(repr_text(key), ": ", repr(value)));
  return cat("{", join(items, ", "), "}");
}

std::string ascii_json(const std::string& json) {
  std::string result;
  for (const char32_t point : points_of(json)) {
    const auto code = static_cast<unsigned>(point);
    if (point < 0x7f || point == 0x7f)
      result += static_cast<char>(point);
    else if (point <= kLastOfPlane)
      result += hex("\\u%04x", code);
    else
      result += hex("\\u%04x", 0xd800 + ((code - 0x10000) >> 10)) +
                hex("\\u%04x", 0xdc00 + ((code - 0x10000) & 0x3ff));
  }
  return result;
}

std::string repr(const Value& value) {
  if (is_undefined(value)) return "Undefined";
  if (get<None>(value)) return "None";
  if (const bool* truth = get<bool>(value)) return *truth ? "True" : "False";
  if (const int64_t* integer = get<int64_t>(value)) return std::to_string(*integer);
  if (const double* real = get<double>(value)) return python_float(*real);
  if (const std::string* text = text_of(value)) return repr_text(*text);
  if (const List* list = list_of(value)) return repr_list(*list);
  if (const Dict* dict = dict_of(value)) return repr_dict(*dict);
  throw Fault{cat("prints a value of type ", type_name(value))};
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonLayout& layout) : layout_(layout) {}

  std::string write(const Value& value) {
    if (get<None>(value)) return "null";
    if (const bool* truth = get<bool>(value)) return *truth ? "true" : "false";
    if (const std::string* text = text_of(value)) return write_text(*text);
    if (const List* list = list_of(value)) return write_list(*list);
    if (const Dict* dict = dict_of(value)) return write_dict(*dict);
    if (get<int64_t>(value) || get<double>(value)) return repr(value);
    throw Fault{cat("writes a value of type ", type_name(value), " as JSON")};
  }

 private:
  std::string write_text(const std::string& text) const {
    const std::string json = dumps(OrderedJson(text));
    return layout_.ascii ? ascii_json(json) : json;
  }
  std::string write_list(const List& list) {
    if (list.flavor == Flavor::kView || list.flavor == Flavor::kLazy)
      throw Fault{"writes what is not a list but a view of one as JSON"};
    std::vector<std::string> items;
    ++level_;
    for (const Value& item : list.items) items.push_back(write(item));
    --level_;
    return around("[", items, "]");
  }
  std::string write_dict(const Dict& dict) {
    auto members = dict.items;
    if (layout_.sort_keys)
      std::stable_sort(members.begin(), members.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> items;
    ++level_;
    for (const auto& [key, value] : members)
      items.push_back(write_text(key) + layout_.key_separator + write(value));
    --level_;
    return around("{", items, "}");
  }
  std::string around(const char* open, const std::vector<std::string>& items,
                     const char* close) const {
    if (items.empty() || !layout_.indented)
      return open + join(items, layout_.item_separator) + close;
    std::string outer = "\n";
    for (int i = 0; i < level_; ++i) outer += layout_.indent;
    const std::string inner = outer + layout_.indent;
    return open + inner + join(items, layout_.item_separator + inner) + outer + close;
  }

  const JsonLayout& layout_;
  int level_ = 0;
};

}  // namespace

std::string to_text(const Value& value, Budget& budget) {
  budget.spend(weight_of(value));
  if (is_undefined(value)) return {};
  if (const std::string* text = text_of(value)) return *text;
  return repr(value);
}

std::string to_json(const Value& value, const JsonLayout& layout, Budget& budget) {
  budget.spend(weight_of(value));
  std::string json = JsonWriter(layout).write(value);
  budget.spend_bytes(json.size());
  return json;
}

}  // namespace mtrain::data::jinja
