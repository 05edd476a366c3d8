// Runs the tree of a Jinja template.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "jinja.hpp"
#include "jinja_call.hpp"

namespace mtrain::data::jinja {

/// Names and values of a part of a template; those around it are seen, and not changed.
struct Scope {
  Scope* outer;
  std::map<std::string, Value, std::less<>> names = {};
};

struct Macro {
  const Node* node;
  Scope* scope;  ///< where it stands
};

/// One rendering. Owns all scopes, loops, macros and namespaces until its end, since they
/// may refer to each other.
class Evaluator {
 public:
  explicit Evaluator(const Template::Variables& variables);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  std::string run(const Block& body);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Statements.
  Flow run(const Block& body, Scope& scope);
  Flow run(const Node& node, Scope& scope);
  Flow run_if(const Node& node, Scope& scope);
  Flow run_for(const Node& node, Scope& scope);
  std::vector<Value> loop_items(const Node& node, Scope& scope);
  void set(const Node& node, Scope& scope);
  void assign(const std::vector<std::string>& names, const Value& value, Scope& scope);
  std::string captured(const Block& body, Scope& scope);
  void write(std::string_view text);

  // Expressions.
  Value eval(const Node& node, Scope& scope);
  Value eval_collection(const Node& node, Scope& scope);
  Value eval_operation(const Node& node, Scope& scope);
  Value eval_access(const Node& node, Scope& scope);
  Value lookup(const std::string& name, Scope& scope);
  Value concatenated(const Node& node, Scope& scope);
  bool compared(const Node& node, Scope& scope);
  Arguments arguments(const Node& node, Scope& scope);
  Value call(const Node& node, Scope& scope);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  Value call_namespace(const Arguments& arguments);
  Scope& new_scope(Scope* outer);

  Budget budget_;
  int depth_ = 0;
  std::string* out_ = nullptr;
  std::deque<Scope> scopes_;
  std::deque<Loop> loops_;
  std::deque<Macro> macros_;
  std::deque<Namespace> namespaces_;
};

}  // namespace mtrain::data::jinja
