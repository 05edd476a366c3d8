// Arguments of a call by their names, and what can be called.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "jinja_value.hpp"

namespace mtrain::data::jinja {

/// A function that templates find by its name. `call` is null for namespace(), which the
/// evaluator makes itself.
struct Function {
  std::string_view name;
  Value (*call)(const Arguments& arguments, Budget& budget);
};

/// A method with the value it belongs to.
struct Method {
  Value self;
  Value (*call)(const Value& self, const Arguments& arguments, Budget& budget);
};

/// The arguments of one call, bound to parameters as Python does it. Faults for an
/// argument that fits no parameter.
class Bound {
 public:
  Bound(const char* callee, const Arguments& arguments,
        std::initializer_list<std::string_view> parameters);

  /// The argument of parameter `i`, or null.
  const Value* at(size_t i) const { return values_[i]; }
  const Value& need(size_t i) const;
  /// The argument as that type, or `otherwise` where it is not given. Faults for others.
  std::string text(size_t i, std::string_view otherwise) const;
  std::optional<std::string> optional_text(size_t i) const;
  int64_t integer(size_t i, int64_t otherwise) const;
  bool flag(size_t i, bool otherwise) const;

 private:
  const char* callee_;
  std::vector<const Value*> values_;
};

/// Functions every template has: range, dict, namespace, raise_exception, strftime_now.
/// Null for others.
const Function* find_function(std::string_view name);

/// `value.name` and `value[index]` as jinja2 looks them up: not defined where there is no
/// such thing. Faults for what is not defined itself, and for methods outside the subset.
Value attribute_of(const Value& value, const std::string& name, Budget& budget);
Value item_of(const Value& value, const Value& index, Budget& budget);
/// value[first:last:step]; null for what is not given.
Value slice_of(const Value& value, const Value* first, const Value* last,
               const Value* step, Budget& budget);

/// a + b and its like: + - * / // % **.
Value binary(const std::string& symbol, const Value& a, const Value& b, Budget& budget);
/// -a or +a.
Value signed_value(const std::string& symbol, const Value& value);
/// a < b and its like: == != < <= > >= in "not in".
bool compare(const std::string& symbol, const Value& a, const Value& b, Budget& budget);

/// value|name(arguments) and value is name(arguments). Fault for names outside the
/// subset.
Value apply_filter(const std::string& name, const Value& value,
                   const Arguments& arguments, Budget& budget);
bool apply_test(const std::string& name, const Value& value, const Arguments& arguments,
                Budget& budget);

/// What can be asked of a loop from within.
struct Loop {
  std::vector<Value> items;
  size_t index = 0;
  std::optional<std::vector<Value>> changed = {};
};
/// loop.name; not defined for others.
Value loop_attribute(Loop& loop, const std::string& name);

/// Methods of texts, dicts and lists; null where there is none of that name. Fault for
/// one that Python knows and this program does not.
using MethodCall = Value (*)(const Value&, const Arguments&, Budget&);
MethodCall find_text_method(const std::string& name);

}  // namespace mtrain::data::jinja
