// Owns the filters of Jinja templates on lists; called by its evaluator.
#include <algorithm>

#include "jinja_filters.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

// "a.b" or 1: the item of an item that a filter looks at; itself without attribute.
Value looked_up(Value item, const Value* attribute, Budget& budget) {
  if (!attribute || get<None>(*attribute)) return item;
  const std::string* path = text_of(*attribute);
  if (!path) return item_of(item, *attribute, budget);
  for (const std::string& part : split(*path, '.')) {
    const bool digits =
        !part.empty() && std::all_of(part.begin(), part.end(),
                                     [](char c) { return c >= '0' && c <= '9'; });
    if (digits && part.size() > 9) throw Fault{"looks for an item too far behind"};
    item = item_of(item, digits ? Value(int64_t{std::stoi(part)}) : text_value(part),
                   budget);
  }
  return item;
}

// What a filter that makes its items one by one loops over: nothing for what is not true.
std::vector<Value> lazy_items(const Value& value, Budget& budget) {
  return truthy(value) ? items_of(value, budget) : std::vector<Value>();
}

// Texts compare without regard to case, unless asked for.
Value sort_key(const Value& item, const Value* attribute, bool case_sensitive,
               Budget& budget) {
  Value key = looked_up(item, attribute, budget);
  const std::string* text = text_of(key);
  if (!text || case_sensitive) return key;
  budget.spend_bytes(text->size());
  return text_value(lower(*text));
}

Value joined(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const std::string separator = bound.at(0) ? to_text(*bound.at(0), budget) : "";
  std::string result;
  bool first = true;
  for (const Value& item : items_of(value, budget)) {
    const std::string text = to_text(looked_up(item, bound.at(1), budget), budget);
    budget.spend_bytes(separator.size() + text.size());
    if (!first) result += separator;
    result += text;
    first = false;
  }
  return text_value(std::move(result));
}

Value first_item(const Value& value, const Arguments&, Budget& budget) {
  const std::vector<Value> items = items_of(value, budget);
  return items.empty() ? Value(Undefined{}) : items.front();
}

Value last_item(const Value& value, const Arguments&, Budget& budget) {
  const std::vector<Value> items = items_of(value, budget);
  return items.empty() ? Value(Undefined{}) : items.back();
}

Value as_list(const Value& value, const Arguments&, Budget& budget) {
  return list_value(items_of(value, budget));
}

Value pairs(const Value& value, const Arguments&, Budget& budget) {
  if (is_undefined(value)) return list_value({}, Flavor::kLazy);
  if (!dict_of(value)) throw Fault{cat("asks for the items of a ", type_name(value))};
  std::vector<Value> items;
  for (const auto& [key, member] : dict_of(value)->items) {
    budget.spend(4);
    items.push_back(list_value({text_value(key), member}, Flavor::kTuple));
  }
  return list_value(std::move(items), Flavor::kLazy);
}

Value reversed(const Value& value, const Arguments&, Budget& budget) {
  std::vector<Value> items = items_of(value, budget);
  std::reverse(items.begin(), items.end());
  if (!text_of(value)) return list_value(std::move(items), Flavor::kLazy);
  std::string text;
  for (const Value& item : items) text += *text_of(item);
  return text_value(std::move(text));
}

// The items, sorted by their keys.
std::vector<Value> sorted_items(std::vector<std::pair<Value, Value>> keyed,
                                bool backwards, Budget& budget) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return backwards ? less(b.first, a.first, budget) : less(a.first, b.first, budget);
  });
  std::vector<Value> items;
  for (auto& pair : keyed) items.push_back(std::move(pair.second));
  return items;
}

Value sorted(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  if (bound.at(2) && text_of(*bound.at(2)) &&
      text_of(*bound.at(2))->find(',') != std::string::npos)
    throw Fault{"sorts by several attributes, which this program does not know"};
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(value, budget))
    keyed.emplace_back(sort_key(item, bound.at(2), bound.flag(1, false), budget), item);
  return list_value(sorted_items(std::move(keyed), bound.flag(0, false), budget));
}

Value sorted_dict(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key");
  if (!dict_of(value) || (by != "key" && by != "value"))
    throw Fault{"calls dictsort in a way it can't be"};
  std::vector<std::pair<Value, Value>> keyed;
  const Value place = int64_t{by == "key" ? 0 : 1};
  for (const Value& pair : items_of(pairs(value, {}, budget), budget))
    keyed.emplace_back(sort_key(pair, &place, bound.flag(0, false), budget), pair);
  return list_value(sorted_items(std::move(keyed), bound.flag(2, false), budget));
}

Value unique(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  std::vector<Value> keys, items;
  for (const Value& item : items_of(value, budget)) {
    const Value key = sort_key(item, bound.at(1), bound.flag(0, false), budget);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const Value& other) { return equal(other, key, budget); }))
      continue;
    keys.push_back(key);
    items.push_back(item);
  }
  return list_value(std::move(items), Flavor::kLazy);
}

template <bool largest>
Value extreme(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("min or max", arguments, {"case_sensitive", "attribute"});
  Value best = Undefined{}, best_key = Undefined{};
  bool any = false;
  for (const Value& item : items_of(value, budget)) {
    const Value key = sort_key(item, bound.at(1), bound.flag(0, false), budget);
    if (any && !(largest ? less(best_key, key, budget) : less(key, best_key, budget)))
      continue;
    any = true;
    best = item;
    best_key = key;
  }
  return best;
}

Value sum(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.at(1) ? *bound.at(1) : Value(int64_t{0});
  for (const Value& item : items_of(value, budget))
    total = binary("+", total, looked_up(item, bound.at(0), budget), budget);
  return total;
}

Arguments without_first(const Arguments& arguments, size_t count) {
  const auto begin = arguments.positional.begin() +
                     static_cast<ptrdiff_t>(std::min(count, arguments.positional.size()));
  return {{begin, arguments.positional.end()}, arguments.named};
}

std::string name_at(const Arguments& arguments, size_t i, const char* what) {
  const std::string* name =
      i < arguments.positional.size() ? text_of(arguments.positional[i]) : nullptr;
  if (!name) throw Fault{cat("lacks the name of ", what)};
  return *name;
}

Value mapped_attributes(const Value& value, const Arguments& arguments, Budget& budget) {
  const Bound bound("map", arguments, {"attribute", "default"});
  std::vector<Value> items;
  for (const Value& item : lazy_items(value, budget)) {
    Value found = looked_up(item, &bound.need(0), budget);
    if (is_undefined(found) && bound.at(1)) found = *bound.at(1);
    items.push_back(std::move(found));
  }
  return list_value(std::move(items), Flavor::kLazy);
}

Value mapped(const Value& value, const Arguments& arguments, Budget& budget) {
  if (arguments.positional.empty()) return mapped_attributes(value, arguments, budget);
  const std::string filter = name_at(arguments, 0, "a filter");
  const Arguments rest = without_first(arguments, 1);
  std::vector<Value> items;
  for (const Value& item : lazy_items(value, budget))
    items.push_back(apply_filter(filter, item, rest, budget));
  return list_value(std::move(items), Flavor::kLazy);
}

// Items that pass a test, or their attribute does; without a test those that are true.
template <bool wanted, bool by_attribute>
Value selected(const Value& value, const Arguments& arguments, Budget& budget) {
  constexpr size_t kTest = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty())
    throw Fault{"lacks the name of an attribute"};
  std::vector<Value> items;
  for (const Value& item : lazy_items(value, budget)) {
    const Value seen =
        by_attribute ? looked_up(item, &arguments.positional[0], budget) : item;
    const bool passes = arguments.positional.size() > kTest
                            ? apply_test(name_at(arguments, kTest, "a test"), seen,
                                         without_first(arguments, kTest + 1), budget)
                            : truthy(seen);
    if (passes == wanted) items.push_back(item);
  }
  return list_value(std::move(items), Flavor::kLazy);
}

}  // namespace

const FilterTable& list_filters() {
  static const FilterTable table = {{"dictsort", sorted_dict},
                                    {"first", first_item},
                                    {"items", pairs},
                                    {"join", joined},
                                    {"last", last_item},
                                    {"list", as_list},
                                    {"map", mapped},
                                    {"max", extreme<true>},
                                    {"min", extreme<false>},
                                    {"reject", selected<false, false>},
                                    {"rejectattr", selected<false, true>},
                                    {"reverse", reversed},
                                    {"select", selected<true, false>},
                                    {"selectattr", selected<true, true>},
                                    {"sort", sorted},
                                    {"sum", sum},
                                    {"unique", unique}};
  return table;
}

Value apply_filter(const std::string& name, const Value& value,
                   const Arguments& arguments, Budget& budget) {
  budget.spend(1);
  for (const FilterTable* table : {&value_filters(), &list_filters()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second(value, arguments, budget);
  }
  throw Fault{cat("uses the filter '", name, "', which this program does not know")};
}

}  // namespace mtrain::data::jinja
