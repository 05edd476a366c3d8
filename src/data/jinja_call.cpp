// Owns the binding of arguments and the functions every template has; called by the Jinja
// evaluator.
#include "jinja_call.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr int64_t kLongestRange = 100'000;  // as jinja2's sandbox has it

Value make_range(const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty() || arguments.positional.empty() ||
      arguments.positional.size() > 3)
    throw Fault{"calls range() with other than one to three numbers"};
  std::array<int64_t, 3> numbers = {0, 0, 1};
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    int64_t room = 0;
    const int64_t* number = integer_of(arguments.positional[i], room);
    if (!number) throw Fault{"calls range() with something that is no whole number"};
    numbers[i] = *number;
  }
  if (arguments.positional.size() == 1) std::swap(numbers[0], numbers[1]);
  const auto [first, last, step] = numbers;
  if (step == 0) throw Fault{"calls range() with steps of 0"};
  std::vector<Value> items;
  for (int64_t at = first; step > 0 ? at < last : at > last;) {
    if (static_cast<int64_t>(items.size()) == kLongestRange)
      throw Fault{"makes a range that is too long"};
    budget.spend(1);
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return list_value(std::move(items));
}

Value make_dict(const Arguments& arguments, Budget& budget) {
  std::vector<std::pair<std::string, Value>> items = arguments.named;
  budget.spend(items.size() + 1);
  if (arguments.positional.size() > 1) throw Fault{"calls dict() with several values"};
  if (arguments.positional.empty()) return dict_value(std::move(items));
  const Dict* given = dict_of(arguments.positional[0]);
  if (!given || !items.empty())
    throw Fault{"calls dict() in a way this program does not know"};
  return dict_value(given->items);
}

Value raise_exception(const Arguments& arguments, Budget& budget) {
  const Bound bound("raise_exception", arguments, {"message"});
  throw Fault{cat("refuses: ", to_text(bound.need(0), budget))};
}

Value strftime_now(const Arguments& arguments, Budget& budget) {
  const Bound bound("strftime_now", arguments, {"format"});
  const std::string format = bound.text(0, "");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 1024> text{};
  const size_t length = std::strftime(text.data(), text.size(), format.c_str(), &local);
  budget.spend_bytes(length);
  return text_value(std::string(text.data(), length));
}

constexpr std::array<Function, 5> kFunctions = {{{"range", make_range},
                                                 {"dict", make_dict},
                                                 {"namespace", nullptr},
                                                 {"raise_exception", raise_exception},
                                                 {"strftime_now", strftime_now}}};

}  // namespace

Bound::Bound(const char* callee, const Arguments& arguments,
             std::initializer_list<std::string_view> parameters)
    : callee_(callee), values_(parameters.size(), nullptr) {
  if (arguments.positional.size() > parameters.size())
    throw Fault{cat("gives ", callee, " too many arguments")};
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    const auto i = static_cast<size_t>(found - parameters.begin());
    if (found == parameters.end() || values_[i])
      throw Fault{
          cat("gives ", callee, " the argument '", name, "', which does not fit")};
    values_[i] = &value;
  }
}

const Value& Bound::need(size_t i) const {
  if (!values_[i]) throw Fault{cat("gives ", callee_, " too few arguments")};
  return *values_[i];
}

std::string Bound::text(size_t i, std::string_view otherwise) const {
  return optional_text(i).value_or(std::string(otherwise));
}

std::optional<std::string> Bound::optional_text(size_t i) const {
  if (!values_[i] || get<None>(*values_[i])) return std::nullopt;
  const std::string* text = text_of(*values_[i]);
  if (!text)
    throw Fault{cat("gives ", callee_, " a ", type_name(*values_[i]), " for a text")};
  return *text;
}

int64_t Bound::integer(size_t i, int64_t otherwise) const {
  if (!values_[i] || get<None>(*values_[i])) return otherwise;
  int64_t room = 0;
  const int64_t* number = integer_of(*values_[i], room);
  if (!number)
    throw Fault{cat("gives ", callee_, " a ", type_name(*values_[i]), " for a number")};
  return *number;
}

bool Bound::flag(size_t i, bool otherwise) const {
  return values_[i] ? truthy(*values_[i]) : otherwise;
}

const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions)
    if (function.name == name) return &function;
  return nullptr;
}

}  // namespace mtrain::data::jinja
