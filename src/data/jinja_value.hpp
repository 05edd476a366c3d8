// Values of the Jinja interpreter: those of Python that chat templates work with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mtrain::data::jinja {

/// What ends a template: an error in it, a limit, or something outside the subset.
struct Fault {
  std::string what;
  int line = 0;  ///< 0: not known
};

/// Work a template may still do. Every step, byte and item costs some, so that time and
/// memory of a hostile template are bounded.
class Budget {
 public:
  static constexpr size_t kWork = 2'000'000;
  static constexpr size_t kBytesOfStep = 32;
  static constexpr int kDeepest = 400;

  /// Fault when the work is used up.
  void spend(size_t steps) {
    if (steps > left_) throw Fault{"takes too many steps, or makes too much text"};
    left_ -= steps;
  }
  /// For `bytes` of text that are made or looked through.
  void spend_bytes(size_t bytes) { spend(bytes / kBytesOfStep + 1); }

 private:
  size_t left_ = kWork;
};

/// Counts how deep calls are nested; Fault beyond Budget::kDeepest.
class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) {
    if (++depth_ > Budget::kDeepest) {
      --depth_;
      throw Fault{"is nested too deeply"};
    }
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

struct List;
struct Dict;
struct Method;
struct Namespace;
struct Macro;
struct Loop;
struct Function;

struct Undefined {
  std::string_view name = {};  ///< of a name in the template
};
struct None {};
using Text = std::shared_ptr<const std::string>;

/// Namespaces, macros and loops are owned by the evaluator.
using Value = std::variant<Undefined, None, bool, int64_t, double, Text,
                           std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                           std::shared_ptr<const Method>, Namespace*, const Macro*, Loop*,
                           const Function*>;

/// What a list was in Python: views and what is made lazily can't be indexed.
enum class Flavor { kList, kTuple, kView, kLazy };

struct List {
  std::vector<Value> items;
  Flavor flavor;
  int depth;      ///< of lists and dicts within each other
  size_t weight;  ///< of all within, as often as it stands there
};

/// In the order of its items; keys are texts.
struct Dict {
  std::vector<std::pair<std::string, Value>> items;
  int depth;
  size_t weight;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};

/// Arguments of a call, a filter or a test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

template <class T>
const T* get(const Value& value) {
  return std::get_if<T>(&value);
}
inline bool is_undefined(const Value& value) {
  return std::holds_alternative<Undefined>(value);
}
/// The text of `value`, or null.
const std::string* text_of(const Value& value);
const List* list_of(const Value& value);
const Dict* dict_of(const Value& value);

Value text_value(std::string text);
/// Faults for lists and dicts nested too deeply or too large.
Value list_value(std::vector<Value> items, Flavor flavor = Flavor::kList);
Value dict_value(std::vector<std::pair<std::string, Value>> items);

bool truthy(const Value& value);
/// What a message calls a value that is not defined.
std::string missing_name(const Value& value);
/// Steps it takes to look at all of it.
size_t weight_of(const Value& value);
/// Python's name of the type, for messages.
std::string type_name(const Value& value);
/// str(value), "" for what is not defined.
std::string to_text(const Value& value, Budget& budget);
/// json.dumps(), as transformers' filter tojson calls it.
struct JsonLayout {
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  std::string indent;  ///< of one level
  bool indented = false;
  bool sort_keys = false;
  bool ascii = false;
};
std::string to_json(const Value& value, const JsonLayout& layout, Budget& budget);

bool equal(const Value& a, const Value& b, Budget& budget);
/// a < b; Fault where Python can't tell.
bool less(const Value& a, const Value& b, Budget& budget);
/// An integer or a truth value as such; null for others.
const int64_t* integer_of(const Value& value, int64_t& room);
/// The number, if it is one.
bool number_of(const Value& value, double& number);

/// What a loop over `value` sees: items, keys or letters. Fault for what has none.
std::vector<Value> items_of(const Value& value, Budget& budget);
/// `item in container`
bool contains(const Value& container, const Value& item, Budget& budget);

}  // namespace mtrain::data::jinja
