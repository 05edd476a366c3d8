// Owns attributes, items and slices of Jinja's values, and the methods of lists and
// dicts; called by its evaluator and filters.
#include <algorithm>
#include <map>

#include "jinja_call.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

Value keys_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("keys", arguments, {});
  return list_value(items_of(self, budget), Flavor::kView);
}

Value values_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("values", arguments, {});
  std::vector<Value> values;
  for (const auto& item : dict_of(self)->items) values.push_back(item.second);
  budget.spend(values.size() + 1);
  return list_value(std::move(values), Flavor::kView);
}

Value pairs_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("items", arguments, {});
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict_of(self)->items)
    pairs.push_back(list_value({text_value(key), value}, Flavor::kTuple));
  budget.spend(3 * pairs.size() + 1);
  return list_value(std::move(pairs), Flavor::kView);
}

Value get_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("get", arguments, {"key", "default"});
  const std::string* key = text_of(bound.need(0));
  budget.spend(dict_of(self)->items.size() + 1);
  const Value* found = key ? dict_of(self)->find(*key) : nullptr;
  if (found) return *found;
  return bound.at(1) ? *bound.at(1) : Value(None{});
}

Value copy_of(const Value& self, const Arguments& arguments, Budget&) {
  const Bound bound("copy", arguments, {});
  return self;
}

Value count_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("count", arguments, {"item"});
  const auto& items = list_of(self)->items;
  return static_cast<int64_t>(std::count_if(
      items.begin(), items.end(),
      [&](const Value& item) { return equal(item, bound.need(0), budget); }));
}

Value index_of(const Value& self, const Arguments& arguments, Budget& budget) {
  const Bound bound("index", arguments, {"item"});
  const auto& items = list_of(self)->items;
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(items[i], bound.need(0), budget)) return static_cast<int64_t>(i);
  throw Fault{"looks for the index of an item that is not in the list"};
}

using Methods = std::map<std::string_view, MethodCall>;

MethodCall find_in(const Methods& methods, const std::string& name) {
  const auto found = methods.find(name);
  return found == methods.end() ? nullptr : found->second;
}

// jinja2's sandbox refuses what changes a value.
[[noreturn]] void refuse_change(const std::string& name) {
  throw Fault{cat("changes a value by .", name, "(), which templates may not")};
}

MethodCall find_dict_method(const std::string& name) {
  static const Methods methods = {{"keys", keys_of},
                                  {"values", values_of},
                                  {"items", pairs_of},
                                  {"get", get_of},
                                  {"copy", copy_of}};
  for (const char* changes : {"pop", "popitem", "update", "clear", "setdefault"})
    if (name == changes) refuse_change(name);
  return find_in(methods, name);
}

MethodCall find_list_method(const std::string& name) {
  static const Methods methods = {{"count", count_of}, {"index", index_of}};
  for (const char* changes :
       {"append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"})
    if (name == changes) refuse_change(name);
  return find_in(methods, name);
}

MethodCall find_method(const Value& value, const std::string& name) {
  if (text_of(value)) return find_text_method(name);
  if (dict_of(value)) return find_dict_method(name);
  return list_of(value) ? find_list_method(name) : nullptr;
}

Value member_or_undefined(const Value* found, const std::string& name) {
  return found ? *found : Value(Undefined{name});
}

bool indexable(const List& list) {
  return list.flavor == Flavor::kList || list.flavor == Flavor::kTuple;
}

// Where a negative position counts from the end; `size` and beyond for none.
size_t position(int64_t index, size_t size) {
  if (index < 0) index += static_cast<int64_t>(size);
  return index < 0 ? size : static_cast<size_t>(index);
}

int64_t bound_of(const Value* given, int64_t otherwise, int64_t lowest, int64_t size,
                 int64_t highest) {
  if (!given || get<None>(*given)) return otherwise;
  int64_t room = 0;
  const int64_t* number = integer_of(*given, room);
  if (!number) throw Fault{cat("slices by a ", type_name(*given))};
  const int64_t index = *number < 0 ? *number + size : *number;
  return std::clamp(index, lowest, highest);
}

// The positions that value[first:last:step] takes of `size` ones.
std::vector<size_t> positions(size_t size, const Value* first, const Value* last,
                              const Value* step) {
  const auto count = static_cast<int64_t>(size);
  int64_t room = 1;
  const int64_t* by = !step || get<None>(*step) ? &room : integer_of(*step, room);
  if (!by || *by == 0) throw Fault{"slices by steps that are no number, or 0"};
  const bool forward = *by > 0;
  const int64_t lowest = forward ? 0 : -1, highest = forward ? count : count - 1;
  int64_t at = bound_of(first, forward ? 0 : count - 1, lowest, count, highest);
  const int64_t end = bound_of(last, forward ? count : -1, lowest, count, highest);
  std::vector<size_t> taken;
  while (forward ? at < end : at > end) {
    taken.push_back(static_cast<size_t>(at));
    if (__builtin_add_overflow(at, *by, &at)) break;
  }
  return taken;
}

}  // namespace

Value attribute_of(const Value& value, const std::string& name, Budget& budget) {
  budget.spend(1);
  if (name.starts_with('_'))
    throw Fault{cat("looks at '", name, "', which templates may not")};
  if (is_undefined(value))
    throw Fault{
        cat("looks for '", name, "' in ", missing_name(value), ", which is not defined")};
  if (const auto* space = get<Namespace*>(value)) {
    const auto found = (*space)->members.find(name);
    return member_or_undefined(
        found == (*space)->members.end() ? nullptr : &found->second, name);
  }
  if (const auto* loop = get<Loop*>(value)) return loop_attribute(**loop, name);
  if (const MethodCall method = find_method(value, name))
    return std::make_shared<const Method>(Method{value, method});
  const Dict* dict = dict_of(value);
  if (dict) budget.spend(dict->items.size());
  return member_or_undefined(dict ? dict->find(name) : nullptr, name);
}

Value item_of(const Value& value, const Value& index, Budget& budget) {
  budget.spend(1);
  const std::string* key = text_of(index);
  const Dict* dict = dict_of(value);
  if (key && dict) {
    budget.spend(dict->items.size());
    if (const Value* found = dict->find(*key)) return *found;
  }
  if (key || is_undefined(value)) {
    // The name lives in the value, so what is not defined does not keep it.
    const Value found = attribute_of(value, key ? *key : "an item", budget);
    return is_undefined(found) ? Value(Undefined{}) : found;
  }
  int64_t room = 0;
  const int64_t* number = integer_of(index, room);
  if (!number) return Undefined{};
  if (const List* list = list_of(value)) {
    const size_t at = position(*number, list->items.size());
    return indexable(*list) && at < list->items.size() ? list->items[at]
                                                       : Value(Undefined{});
  }
  if (const std::string* text = text_of(value)) {
    budget.spend_bytes(text->size());
    const std::u32string points = points_of(*text);
    const size_t at = position(*number, points.size());
    if (at < points.size())
      return text_value(text_of_points(std::u32string(1, points[at])));
  }
  return Undefined{};
}

Value slice_of(const Value& value, const Value* first, const Value* last,
               const Value* step, Budget& budget) {
  if (const std::string* text = text_of(value)) {
    budget.spend_bytes(text->size());
    const std::u32string points = points_of(*text);
    std::u32string taken;
    for (const size_t i : positions(points.size(), first, last, step)) taken += points[i];
    return text_value(text_of_points(taken));
  }
  const List* list = list_of(value);
  if (!list || !indexable(*list))
    throw Fault{cat("slices a value of type ", type_name(value))};
  budget.spend(list->items.size() + 1);
  std::vector<Value> items;
  for (const size_t i : positions(list->items.size(), first, last, step))
    items.push_back(list->items[i]);
  return list_value(std::move(items), list->flavor);
}

}  // namespace mtrain::data::jinja
