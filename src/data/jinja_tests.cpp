// Owns the tests of Jinja templates (value is name); called by its evaluator and filters.
#include <map>

#include "jinja_call.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

using Test = bool (*)(const Value&, const Arguments&, Budget&);

const Value& only(const Arguments& arguments) {
  if (arguments.positional.size() != 1 || !arguments.named.empty())
    throw Fault{"gives a test other than one value to compare with"};
  return arguments.positional[0];
}

bool is_number(const Value& value) {
  double number = 0;
  return number_of(value, number);
}

template <class... Types>
bool is_one_of(const Value& value, const Arguments&, Budget&) {
  return (std::holds_alternative<Types>(value) || ...);
}

bool is_sequence(const Value& value, const Arguments&, Budget&) {
  const List* list = list_of(value);
  return text_of(value) || dict_of(value) || is_undefined(value) ||
         (list && (list->flavor == Flavor::kList || list->flavor == Flavor::kTuple));
}

bool is_same(const Value& value, const Arguments& arguments, Budget&) {
  const Value& other = only(arguments);
  if (value.index() != other.index()) return false;
  if (const bool* truth = get<bool>(value)) return *truth == *get<bool>(other);
  if (get<None>(value)) return true;
  throw Fault{"uses 'is sameas' with other than true, false and none"};
}

bool leaves(const Value& value, const Value& divisor, int64_t rest, Budget& budget) {
  return equal(binary("%", value, divisor, budget), rest, budget);
}

template <bool upper_case>
bool has_case(const Value& value, const Arguments&, Budget& budget) {
  const std::string text = to_text(value, budget);
  const std::string as_wanted = upper_case ? upper(text) : lower(text);
  return text == as_wanted && (upper_case ? lower(text) : upper(text)) != text;
}

#define MTRAIN_COMPARES(symbol)                                    \
  [](const Value& a, const Arguments& arguments, Budget& budget) { \
    return compare(symbol, a, only(arguments), budget);            \
  }

const std::map<std::string_view, Test>& tests() {
  static const Test eq = MTRAIN_COMPARES("=="), ne = MTRAIN_COMPARES("!="),
                    lt = MTRAIN_COMPARES("<"), le = MTRAIN_COMPARES("<="),
                    gt = MTRAIN_COMPARES(">"), ge = MTRAIN_COMPARES(">=");
  static const std::map<std::string_view, Test> table = {
      {"boolean", is_one_of<bool>},
      {"callable", is_one_of<std::shared_ptr<const Method>, const Macro*, const Function*,
                             Undefined>},
      {"defined",
       [](const Value& v, const Arguments&, Budget&) { return !is_undefined(v); }},
      {"undefined", is_one_of<Undefined>},
      {"none", is_one_of<None>},
      {"string", is_one_of<Text>},
      {"mapping", is_one_of<std::shared_ptr<const Dict>>},
      {"integer", is_one_of<int64_t>},
      {"float", is_one_of<double>},
      {"number", [](const Value& v, const Arguments&, Budget&) { return is_number(v); }},
      {"sequence", is_sequence},
      {"iterable", is_one_of<Text, std::shared_ptr<const List>,
                             std::shared_ptr<const Dict>, Undefined>},
      {"true",
       [](const Value& v, const Arguments&, Budget&) {
         const bool* truth = get<bool>(v);
         return truth && *truth;
       }},
      {"false",
       [](const Value& v, const Arguments&, Budget&) {
         const bool* truth = get<bool>(v);
         return truth && !*truth;
       }},
      {"sameas", is_same},
      {"in", MTRAIN_COMPARES("in")},
      {"odd", [](const Value& v, const Arguments&,
                 Budget& budget) { return leaves(v, int64_t{2}, 1, budget); }},
      {"even", [](const Value& v, const Arguments&,
                  Budget& budget) { return leaves(v, int64_t{2}, 0, budget); }},
      {"divisibleby", [](const Value& v, const Arguments& a,
                         Budget& budget) { return leaves(v, only(a), 0, budget); }},
      {"lower", has_case<false>},
      {"upper", has_case<true>},
      {"eq", eq},
      {"equalto", eq},
      {"ne", ne},
      {"lt", lt},
      {"lessthan", lt},
      {"le", le},
      {"gt", gt},
      {"greaterthan", gt},
      {"ge", ge},
      // By their symbols: names that filters may give.
      {"==", eq},
      {"!=", ne},
      {"<", lt},
      {"<=", le},
      {">", gt},
      {">=", ge}};
  return table;
}

#undef MTRAIN_COMPARES

}  // namespace

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments,
                Budget& budget) {
  budget.spend(1);
  const auto found = tests().find(name);
  if (found == tests().end())
    throw Fault{cat("uses the test '", name, "', which this program does not know")};
  return found->second(value, arguments, budget);
}

}  // namespace mtrain::data::jinja
