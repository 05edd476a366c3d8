// Owns the running of Jinja's statements; called by the template.
#include "jinja_evaluator.hpp"

#include <utility>

#include "jinja_parser.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {

Evaluator::Evaluator(const Template::Variables& variables) {
  Scope& globals = new_scope(nullptr);
  for (const auto& [name, value] : variables) globals.names.emplace(name, value);
}

// One by one, so that no chain of namespaces is freed link within link.
Evaluator::~Evaluator() {
  for (Namespace& space : namespaces_) space.members.clear();
}

std::string Evaluator::run(const Block& body) {
  return captured(body, new_scope(&scopes_.front()));
}

Scope& Evaluator::new_scope(Scope* outer) {
  budget_.spend(2);
  return scopes_.emplace_back(Scope{outer});
}

void Evaluator::write(std::string_view text) {
  budget_.spend_bytes(text.size());
  out_->append(text);
}

std::string Evaluator::captured(const Block& body, Scope& scope) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  run(body, scope);
  out_ = outer;
  return text;
}

Evaluator::Flow Evaluator::run(const Block& body, Scope& scope) {
  const Depth deeper(depth_);
  for (const NodePtr& node : body) {
    try {
      const Flow flow = run(*node, scope);
      if (flow != Flow::kNext) return flow;
    } catch (Fault& fault) {
      if (fault.line == 0) fault.line = node->line;
      throw;
    }
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run(const Node& node, Scope& scope) {
  budget_.spend(1);
  switch (node.kind) {
    case NodeKind::kText:
      write(node.text);
      break;
    case NodeKind::kOutput:
      write(to_text(eval(*node.children[0], scope), budget_));
      break;
    case NodeKind::kFor:
      return run_for(node, scope);
    case NodeKind::kIf:
      return run_if(node, scope);
    case NodeKind::kSet:
    case NodeKind::kSetMember:
      set(node, scope);
      break;
    case NodeKind::kMacro:
      scope.names[node.text] = &macros_.emplace_back(Macro{&node, &scope});
      break;
    case NodeKind::kPlain:
      return run(node.blocks[0], scope);
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
    default:
      break;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run_if(const Node& node, Scope& scope) {
  for (size_t i = 0; i < node.children.size(); ++i)
    if (truthy(eval(*node.children[i], scope))) return run(node.blocks[i], scope);
  if (node.blocks.size() > node.children.size()) return run(node.blocks.back(), scope);
  return Flow::kNext;
}

std::vector<Value> Evaluator::loop_items(const Node& node, Scope& scope) {
  std::vector<Value> items = items_of(eval(*node.children[0], scope), budget_);
  if (!node.children[1]) return items;
  std::vector<Value> kept;
  Scope& inner = new_scope(&scope);
  for (const Value& item : items) {
    assign(node.names, item, inner);
    if (truthy(eval(*node.children[1], inner))) kept.push_back(item);
  }
  return kept;
}

// Each turn has a scope of its own: what it sets ends with it.
Evaluator::Flow Evaluator::run_for(const Node& node, Scope& scope) {
  Loop& loop = loops_.emplace_back(Loop{loop_items(node, scope)});
  if (loop.items.empty()) return run(node.blocks[1], new_scope(&scope));
  for (; loop.index < loop.items.size(); ++loop.index) {
    Scope& inner = new_scope(&scope);
    inner.names.emplace("loop", &loop);
    assign(node.names, loop.items[loop.index], inner);
    if (run(node.blocks[0], inner) == Flow::kBreak) break;
  }
  return Flow::kNext;
}

void Evaluator::assign(const std::vector<std::string>& names, const Value& value,
                       Scope& scope) {
  if (names.size() == 1) {
    scope.names[names[0]] = value;
    return;
  }
  const std::vector<Value> items = items_of(value, budget_);
  if (items.size() != names.size())
    throw Fault{cat("sets ", names.size(), " names to ", items.size(), " values")};
  for (size_t i = 0; i < names.size(); ++i) scope.names[names[i]] = items[i];
}

void Evaluator::set(const Node& node, Scope& scope) {
  const Value value = node.blocks.empty()
                          ? eval(*node.children[0], scope)
                          : text_value(captured(node.blocks[0], new_scope(&scope)));
  if (node.kind == NodeKind::kSet) return assign(node.names, value, scope);
  Namespace* const* space = nullptr;
  const Value holder = lookup(node.text, scope);
  space = get<Namespace*>(holder);
  if (!space)
    throw Fault{cat("sets a member of '", node.text, "', which is no namespace"),
                node.line};
  (*space)->members[node.names[0]] = value;
}

Template::Template(std::string_view source) {
  constexpr size_t kLongest = 1 << 20;
  if (source.size() > kLongest) throw Fault{"is longer than a MiB"};
  body_ = Parser(tokens_of(source)).parse();
}

std::string Template::render(const Variables& variables) const {
  return Evaluator(variables).run(body_);
}

}  // namespace mtrain::data::jinja
