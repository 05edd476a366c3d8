// Owns arithmetic and comparison of Jinja's values; called by its evaluator.
#include <cmath>
#include <limits>

#include "jinja_call.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

[[noreturn]] void does_not_fit(const std::string& symbol, const Value& a,
                               const Value& b) {
  throw Fault{cat("computes a ", type_name(a), " ", symbol, " a ", type_name(b))};
}

int64_t floor_divided(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

bool power(int64_t base, int64_t exponent, int64_t& result) {
  result = 1;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(result, base, &result)) return true;
    if (result == 0 || (result == 1 && base == 1)) return false;
  }
  return false;
}

double real_power(double base, double exponent) {
  const double result = std::pow(base, exponent);
  if (!std::isfinite(result)) throw Fault{"computes a power that is no number"};
  return result;
}

Value of_reals(const std::string& symbol, double a, double b) {
  if ((symbol == "/" || symbol == "//" || symbol == "%") && b == 0)
    throw Fault{"divides by zero"};
  if (symbol == "+") return a + b;
  if (symbol == "-") return a - b;
  if (symbol == "*") return a * b;
  if (symbol == "/") return a / b;
  if (symbol == "//") return std::floor(a / b);
  if (symbol == "**") return real_power(a, b);
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

Value of_integers(const std::string& symbol, int64_t a, int64_t b) {
  int64_t result = 0;
  bool beyond = false;
  const bool divides = symbol == "/" || symbol == "//" || symbol == "%";
  if (divides && b == 0) throw Fault{"divides by zero"};
  if (symbol == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (symbol == "**" && b < 0)
    return of_reals(symbol, static_cast<double>(a), static_cast<double>(b));
  if (divides && a == std::numeric_limits<int64_t>::min() && b == -1)
    beyond = true;
  else if (symbol == "+")
    beyond = __builtin_add_overflow(a, b, &result);
  else if (symbol == "-")
    beyond = __builtin_sub_overflow(a, b, &result);
  else if (symbol == "*")
    beyond = __builtin_mul_overflow(a, b, &result);
  else if (symbol == "//")
    result = floor_divided(a, b);
  else if (symbol == "%")
    result = a - floor_divided(a, b) * b;
  else if (b > 64 && (a > 1 || a < -1))
    beyond = true;
  else
    beyond = power(a, a == -1 ? b % 2 : b, result);
  if (beyond) throw Fault{"computes a number beyond 64 bits"};
  return result;
}

Value joined(const Value& a, const Value& b, Budget& budget) {
  const std::string *left = text_of(a), *right = text_of(b);
  if (left && right) {
    budget.spend_bytes(left->size() + right->size());
    return text_value(*left + *right);
  }
  const List *first = list_of(a), *second = list_of(b);
  const bool fits = first && second && first->flavor == second->flavor &&
                    (first->flavor == Flavor::kList || first->flavor == Flavor::kTuple);
  if (!fits) does_not_fit("+", a, b);
  budget.spend(first->items.size() + second->items.size());
  std::vector<Value> items = first->items;
  items.insert(items.end(), second->items.begin(), second->items.end());
  return list_value(std::move(items), first->flavor);
}

Value repeated(const Value& value, int64_t times, Budget& budget) {
  times = std::max<int64_t>(times, 0);
  const auto count = static_cast<size_t>(times);
  if (count > Budget::kWork) throw Fault{"repeats something too often"};
  if (const std::string* text = text_of(value)) {
    budget.spend_bytes(text->size() * count);
    std::string result;
    for (size_t i = 0; i < count && !text->empty(); ++i) result += *text;
    return text_value(std::move(result));
  }
  const List* list = list_of(value);
  budget.spend(list->weight * count);
  std::vector<Value> items;
  for (size_t i = 0; i < count && !list->items.empty(); ++i)
    items.insert(items.end(), list->items.begin(), list->items.end());
  return list_value(std::move(items), list->flavor);
}

bool repeatable(const Value& value) {
  const List* list = list_of(value);
  return text_of(value) ||
         (list && (list->flavor == Flavor::kList || list->flavor == Flavor::kTuple));
}

}  // namespace

Value binary(const std::string& symbol, const Value& a, const Value& b, Budget& budget) {
  int64_t room_a = 0, room_b = 0;
  const int64_t *m = integer_of(a, room_a), *n = integer_of(b, room_b);
  if (m && n) return of_integers(symbol, *m, *n);
  double x = 0, y = 0;
  if (number_of(a, x) && number_of(b, y)) return of_reals(symbol, x, y);
  if (is_undefined(a) || is_undefined(b))
    throw Fault{cat("computes with ", missing_name(is_undefined(a) ? a : b),
                    ", which is not defined")};
  if (symbol == "+") return joined(a, b, budget);
  if (symbol == "*" && n && repeatable(a)) return repeated(a, *n, budget);
  if (symbol == "*" && m && repeatable(b)) return repeated(b, *m, budget);
  if (symbol == "%" && text_of(a))
    throw Fault{"formats a text with %, which this program does not know"};
  does_not_fit(symbol, a, b);
}

Value signed_value(const std::string& symbol, const Value& value) {
  const bool minus = symbol == "-";
  int64_t room = 0;
  if (const int64_t* integer = integer_of(value, room))
    return minus ? of_integers("-", 0, *integer) : Value(*integer);
  if (const double* real = get<double>(value)) return minus ? -*real : *real;
  throw Fault{cat("puts a sign before a ", type_name(value))};
}

bool compare(const std::string& symbol, const Value& a, const Value& b, Budget& budget) {
  if (symbol == "==") return equal(a, b, budget);
  if (symbol == "!=") return !equal(a, b, budget);
  if (symbol == "in") return contains(b, a, budget);
  if (symbol == "not in") return !contains(b, a, budget);
  if (symbol == "<") return less(a, b, budget);
  if (symbol == ">") return less(b, a, budget);
  const bool same = equal(a, b, budget);
  return symbol == "<=" ? less(a, b, budget) || same : less(b, a, budget) || same;
}

}  // namespace mtrain::data::jinja
