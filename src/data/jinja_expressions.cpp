// Owns the computing of Jinja's expressions; called by the running of its statements.
#include <algorithm>

#include "jinja_evaluator.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

// "loop.cycle(...)" and "loop.changed(...)".
Value cycled(const Value& self, const Arguments& arguments, Budget&) {
  const auto& items = arguments.positional;
  if (items.empty() || !arguments.named.empty()) throw Fault{"calls loop.cycle() so"};
  return items[(*get<Loop*>(self))->index % items.size()];
}

Value changed(const Value& self, const Arguments& arguments, Budget& budget) {
  Loop& loop = **get<Loop*>(self);
  const Value given = list_value(arguments.positional);
  const bool same = loop.changed && equal(list_value(*loop.changed), given, budget);
  loop.changed = arguments.positional;
  return !same;
}

}  // namespace

Value loop_attribute(Loop& loop, const std::string& name) {
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == length;
  if (name == "length") return length;
  if (name == "depth") return int64_t{1};
  if (name == "depth0") return int64_t{0};
  if (name == "previtem")
    return index > 0 ? loop.items[loop.index - 1] : Value(Undefined{"loop.previtem"});
  if (name == "nextitem")
    return index + 1 < length ? loop.items[loop.index + 1]
                              : Value(Undefined{"loop.nextitem"});
  if (name == "cycle") return std::make_shared<const Method>(Method{&loop, cycled});
  if (name == "changed") return std::make_shared<const Method>(Method{&loop, changed});
  return Undefined{};
}

Value Evaluator::eval(const Node& node, Scope& scope) {
  const Depth deeper(depth_);
  budget_.spend(1);
  try {
    switch (node.kind) {
      case NodeKind::kConstant:
        return node.constant;
      case NodeKind::kName:
        return lookup(node.text, scope);
      case NodeKind::kList:
      case NodeKind::kTuple:
      case NodeKind::kDict:
        return eval_collection(node, scope);
      case NodeKind::kAttribute:
      case NodeKind::kItem:
      case NodeKind::kSlice:
        return eval_access(node, scope);
      case NodeKind::kCall:
        return call(node, scope);
      case NodeKind::kFilter:
        return apply_filter(node.text, eval(*node.children[0], scope),
                            arguments(node, scope), budget_);
      case NodeKind::kTest:
        return apply_test(node.text, eval(*node.children[0], scope),
                          arguments(node, scope), budget_);
      default:
        return eval_operation(node, scope);
    }
  } catch (Fault& fault) {
    if (fault.line == 0) fault.line = node.line;
    throw;
  }
}

Value Evaluator::lookup(const std::string& name, Scope& scope) {
  for (Scope* at = &scope; at; at = at->outer) {
    budget_.spend(1);
    const auto found = at->names.find(name);
    if (found != at->names.end()) return found->second;
  }
  if (const Function* function = find_function(name)) return function;
  return Undefined{name};
}

Value Evaluator::eval_collection(const Node& node, Scope& scope) {
  std::vector<Value> items;
  for (const NodePtr& child : node.children) items.push_back(eval(*child, scope));
  if (node.kind == NodeKind::kList) return list_value(std::move(items));
  if (node.kind == NodeKind::kTuple) return list_value(std::move(items), Flavor::kTuple);
  std::vector<std::pair<std::string, Value>> members;
  for (size_t i = 0; i < items.size(); i += 2) {
    const std::string* key = text_of(items[i]);
    if (!key) throw Fault{"has a dict with keys that are no texts"};
    budget_.spend(members.size());
    bool there = false;
    for (auto& [name, value] : members)
      if (name == *key) {
        value = items[i + 1];
        there = true;
      }
    if (!there) members.emplace_back(*key, items[i + 1]);
  }
  return dict_value(std::move(members));
}

Value Evaluator::eval_operation(const Node& node, Scope& scope) {
  const auto child = [&](size_t i) { return eval(*node.children[i], scope); };
  switch (node.kind) {
    case NodeKind::kUnary: {
      const Value value = child(0);
      return node.text == "not" ? Value(!truthy(value)) : signed_value(node.text, value);
    }
    case NodeKind::kAnd: {
      const Value left = child(0);
      return truthy(left) ? child(1) : left;
    }
    case NodeKind::kOr: {
      const Value left = child(0);
      return truthy(left) ? left : child(1);
    }
    case NodeKind::kBinary: {
      const Value left = child(0);
      return binary(node.text, left, child(1), budget_);
    }
    case NodeKind::kConcat:
      return concatenated(node, scope);
    case NodeKind::kCompare:
      return compared(node, scope);
    case NodeKind::kConditional:
      if (truthy(child(0))) return child(1);
      return node.children.size() > 2 ? child(2) : Value(Undefined{});
    default:
      throw Fault{"holds a statement where a value is due"};
  }
}

Value Evaluator::concatenated(const Node& node, Scope& scope) {
  std::string text;
  for (const NodePtr& child : node.children) {
    const std::string part = to_text(eval(*child, scope), budget_);
    budget_.spend_bytes(text.size() + part.size());
    text += part;
  }
  return text_value(std::move(text));
}

bool Evaluator::compared(const Node& node, Scope& scope) {
  Value left = eval(*node.children[0], scope);
  for (size_t i = 0; i < node.names.size(); ++i) {
    Value right = eval(*node.children[i + 1], scope);
    if (!compare(node.names[i], left, right, budget_)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::eval_access(const Node& node, Scope& scope) {
  const Value value = eval(*node.children[0], scope);
  if (node.kind == NodeKind::kAttribute) return attribute_of(value, node.text, budget_);
  if (node.kind == NodeKind::kItem)
    return item_of(value, eval(*node.children[1], scope), budget_);
  Value bounds[3];
  const Value* given[3] = {};
  for (size_t i = 0; i < 3; ++i)
    if (node.children[i + 1]) {
      bounds[i] = eval(*node.children[i + 1], scope);
      given[i] = &bounds[i];
    }
  return slice_of(value, given[0], given[1], given[2], budget_);
}

Arguments Evaluator::arguments(const Node& node, Scope& scope) {
  Arguments given;
  const size_t named = node.children.size() - node.names.size();
  for (size_t i = 1; i < node.children.size(); ++i) {
    Value value = eval(*node.children[i], scope);
    if (i < named)
      given.positional.push_back(std::move(value));
    else
      given.named.emplace_back(node.names[i - named], std::move(value));
  }
  return given;
}

Value Evaluator::call(const Node& node, Scope& scope) {
  const Value callee = eval(*node.children[0], scope);
  const Arguments given = arguments(node, scope);
  if (const auto* method = get<std::shared_ptr<const Method>>(callee))
    return (*method)->call((*method)->self, given, budget_);
  if (const auto* function = get<const Function*>(callee))
    return (*function)->call ? (*function)->call(given, budget_) : call_namespace(given);
  if (const auto* macro = get<const Macro*>(callee)) return call_macro(**macro, given);
  if (is_undefined(callee))
    throw Fault{cat("calls ", missing_name(callee), ", which is not defined")};
  throw Fault{cat("calls a value of type ", type_name(callee))};
}

Value Evaluator::call_macro(const Macro& macro, const Arguments& given) {
  const Node& node = *macro.node;
  const size_t count = node.names.size();
  if (given.positional.size() > count)
    throw Fault{cat("gives the macro ", node.text, " too many arguments")};
  Scope& scope = new_scope(macro.scope);
  for (size_t i = 0; i < given.positional.size(); ++i)
    scope.names[node.names[i]] = given.positional[i];
  for (const auto& [name, value] : given.named) {
    const bool known =
        std::find(node.names.begin(), node.names.end(), name) != node.names.end();
    if (!known || !scope.names.emplace(name, value).second)
      throw Fault{cat("gives the macro ", node.text, " the argument '", name,
                      "', which does not fit")};
  }
  const size_t first_default = count - node.children.size();
  for (size_t i = 0; i < count; ++i) {
    if (scope.names.contains(node.names[i])) continue;
    scope.names[node.names[i]] = i < first_default
                                     ? Value(Undefined{node.names[i]})
                                     : eval(*node.children[i - first_default], scope);
  }
  return text_value(captured(node.blocks[0], scope));
}

Value Evaluator::call_namespace(const Arguments& given) {
  Namespace& space = namespaces_.emplace_back();
  budget_.spend(2);
  if (given.positional.size() > 1) throw Fault{"calls namespace() with several values"};
  if (!given.positional.empty()) {
    const Dict* dict = dict_of(given.positional[0]);
    if (!dict) throw Fault{"calls namespace() with what is no dict"};
    for (const auto& [name, value] : dict->items) space.members[name] = value;
  }
  for (const auto& [name, value] : given.named) space.members[name] = value;
  return &space;
}

}  // namespace mtrain::data::jinja
