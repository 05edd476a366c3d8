// Owns the meaning of values in the Jinja interpreter: truth, comparison, membership;
// called by its evaluator, filters and methods.
#include "jinja_value.hpp"

#include <algorithm>

#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr int kDeepestValue = 64;
constexpr size_t kHeaviestValue = 200'000;

int depth_of(const Value& value) {
  if (const List* list = list_of(value)) return list->depth;
  if (const Dict* dict = dict_of(value)) return dict->depth;
  return 0;
}

// Depth and weight of a list or dict from those of its items.
struct Extent {
  int depth = 1;
  size_t weight = 1;

  void add(const Value& item) {
    depth = std::max(depth, depth_of(item) + 1);
    weight += weight_of(item);
    if (depth > kDeepestValue || weight > kHeaviestValue)
      throw Fault{"makes lists nested too deeply or too large"};
  }
};

bool equal_lists(const List& a, const List& b, Budget& budget) {
  if (a.flavor != b.flavor || a.items.size() != b.items.size()) return false;
  budget.spend(a.items.size());
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!equal(a.items[i], b.items[i], budget)) return false;
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, value] : a.items) {
    budget.spend(b.items.size() + 1);
    const Value* other = b.find(key);
    if (!other || !equal(value, *other, budget)) return false;
  }
  return true;
}

bool less_lists(const List& a, const List& b, Budget& budget) {
  budget.spend(a.items.size() + b.items.size());
  const size_t shared = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < shared; ++i)
    if (!equal(a.items[i], b.items[i], budget))
      return less(a.items[i], b.items[i], budget);
  return a.items.size() < b.items.size();
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items)
    if (name == key) return &value;
  return nullptr;
}

const std::string* text_of(const Value& value) {
  const Text* text = get<Text>(value);
  return text ? text->get() : nullptr;
}
const List* list_of(const Value& value) {
  const auto* list = get<std::shared_ptr<const List>>(value);
  return list ? list->get() : nullptr;
}
const Dict* dict_of(const Value& value) {
  const auto* dict = get<std::shared_ptr<const Dict>>(value);
  return dict ? dict->get() : nullptr;
}

Value text_value(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

Value list_value(std::vector<Value> items, Flavor flavor) {
  Extent extent;
  for (const Value& item : items) extent.add(item);
  return std::make_shared<const List>(
      List{std::move(items), flavor, extent.depth, extent.weight});
}

Value dict_value(std::vector<std::pair<std::string, Value>> items) {
  Extent extent;
  for (const auto& [key, value] : items) {
    extent.add(value);
    extent.weight += key.size() / Budget::kBytesOfStep;
  }
  return std::make_shared<const Dict>(
      Dict{std::move(items), extent.depth, extent.weight});
}

size_t weight_of(const Value& value) {
  if (const std::string* text = text_of(value))
    return text->size() / Budget::kBytesOfStep + 1;
  if (const List* list = list_of(value)) return list->weight;
  if (const Dict* dict = dict_of(value)) return dict->weight;
  return 1;
}

bool truthy(const Value& value) {
  if (is_undefined(value) || get<None>(value)) return false;
  double number = 0;
  if (number_of(value, number)) return number != 0;
  if (const std::string* text = text_of(value)) return !text->empty();
  if (const List* list = list_of(value))
    return list->flavor == Flavor::kLazy || !list->items.empty();
  if (const Dict* dict = dict_of(value)) return !dict->items.empty();
  return true;
}

std::string type_name(const Value& value) {
  static const char* const kNames[] = {
      "undefined", "None",   "bool",      "int",   "float", "str",     "list",
      "dict",      "method", "namespace", "macro", "loop",  "function"};
  return kNames[value.index()];
}

std::string missing_name(const Value& value) {
  const std::string_view name = get<Undefined>(value)->name;
  return name.empty() ? "something" : cat("'", name, "'");
}

const int64_t* integer_of(const Value& value, int64_t& room) {
  if (const bool* truth = get<bool>(value)) {
    room = *truth ? 1 : 0;
    return &room;
  }
  return get<int64_t>(value);
}

bool number_of(const Value& value, double& number) {
  int64_t room = 0;
  if (const int64_t* integer = integer_of(value, room))
    number = static_cast<double>(*integer);
  else if (const double* real = get<double>(value))
    number = *real;
  else
    return false;
  return true;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.spend(1);
  double x = 0, y = 0;
  if (number_of(a, x)) {
    int64_t room_a = 0, room_b = 0;
    const int64_t *m = integer_of(a, room_a), *n = integer_of(b, room_b);
    return m && n ? *m == *n : number_of(b, y) && x == y;
  }
  if (a.index() != b.index()) return false;
  if (const std::string* text = text_of(a)) {
    budget.spend_bytes(text->size());
    return *text == *text_of(b);
  }
  if (const List* list = list_of(a)) return equal_lists(*list, *list_of(b), budget);
  if (const Dict* dict = dict_of(a)) return equal_dicts(*dict, *dict_of(b), budget);
  if (is_undefined(a) || get<None>(a)) return true;
  if (const auto* space = get<Namespace*>(a)) return *space == *get<Namespace*>(b);
  if (const auto* macro = get<const Macro*>(a)) return *macro == *get<const Macro*>(b);
  return false;
}

bool less(const Value& a, const Value& b, Budget& budget) {
  budget.spend(1);
  double x = 0, y = 0;
  if (number_of(a, x) && number_of(b, y)) {
    int64_t room_a = 0, room_b = 0;
    const int64_t *m = integer_of(a, room_a), *n = integer_of(b, room_b);
    return m && n ? *m < *n : x < y;
  }
  const std::string *s = text_of(a), *t = text_of(b);
  if (s && t) {
    budget.spend_bytes(s->size());
    return *s < *t;  // UTF-8 sorts as its code points do
  }
  const List *list = list_of(a), *other = list_of(b);
  if (list && other && list->flavor == other->flavor)
    return less_lists(*list, *other, budget);
  throw Fault{cat("compares a ", type_name(a), " with a ", type_name(b))};
}

std::vector<Value> items_of(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (const List* list = list_of(value)) {
    budget.spend(list->items.size());
    items = list->items;
  } else if (const Dict* dict = dict_of(value)) {
    budget.spend(dict->items.size());
    for (const auto& item : dict->items) items.push_back(text_value(item.first));
  } else if (const std::string* text = text_of(value)) {
    budget.spend(text->size());
    for (const char32_t point : points_of(*text))
      items.push_back(text_value(text_of_points(std::u32string(1, point))));
  } else if (!is_undefined(value)) {
    throw Fault{cat("loops over a value of type ", type_name(value))};
  }
  return items;
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (const std::string* text = text_of(container)) {
    const std::string* part = text_of(item);
    if (!part) throw Fault{cat("looks for a ", type_name(item), " in a text")};
    budget.spend_bytes(text->size());
    return text->find(*part) != text->npos;
  }
  if (const Dict* dict = dict_of(container)) {
    budget.spend(dict->items.size() + 1);
    if (list_of(item) || dict_of(item))
      throw Fault{cat("looks for a ", type_name(item), " among the keys of a dict")};
    const std::string* key = text_of(item);
    return key && dict->find(*key);
  }
  if (const List* list = list_of(container))
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& other) { return equal(other, item, budget); });
  if (is_undefined(container)) return false;
  throw Fault{cat("looks for something in a value of type ", type_name(container))};
}

}  // namespace mtrain::data::jinja
