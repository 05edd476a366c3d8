// Owns the reading of Jinja's expressions; called by the reading of its statements.
#include "jinja_parser.hpp"

#include <algorithm>
#include <charconv>

#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {
namespace {

constexpr int kDeepestNode = 100;

bool one_of(const std::string& text, std::initializer_list<std::string_view> choices) {
  return std::find(choices.begin(), choices.end(), text) != choices.end();
}

Value number(const Token& token) {
  const char* end = token.text.data() + token.text.size();
  if (token.kind == TokenKind::kReal) {
    double real = 0;
    if (std::from_chars(token.text.data(), end, real).ec == std::errc()) return real;
  }
  int64_t integer = 0;
  const auto [stop, error] = std::from_chars(token.text.data(), end, integer);
  if (stop != end || error != std::errc())
    throw Fault{cat("has the number ", token.text, ", which is beyond 64 bits"),
                token.line};
  return integer;
}

}  // namespace

const Token& Parser::ahead() const {
  return tokens_[std::min(at_ + 1, tokens_.size() - 1)];
}

bool Parser::at_operator(std::string_view text) const {
  return now().kind == TokenKind::kOperator && now().text == text;
}
bool Parser::at_name(std::string_view name) const {
  return now().kind == TokenKind::kName && now().text == name;
}
bool Parser::take_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  take();
  return true;
}
bool Parser::take_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}
void Parser::expect_operator(std::string_view text) {
  if (!take_operator(text)) unexpected();
}
void Parser::expect_kind(TokenKind kind, const char* what) {
  if (now().kind != kind)
    throw Fault{cat("lacks ", what, " before '", now().text, "'"), now().line};
  take();
}
std::string Parser::expect_name() {
  if (now().kind != TokenKind::kName) unexpected();
  return take().text;
}
void Parser::unexpected() const {
  const std::string what = now().kind == TokenKind::kEnd        ? "end of the text"
                           : now().kind == TokenKind::kBlockEnd ? "%}"
                           : now().kind == TokenKind::kVariableEnd
                               ? "}}"
                               : cat("'", now().text, "'");
  throw Fault{cat("has an unexpected ", what), now().line};
}
void Parser::unknown(const std::string& what) const {
  throw Fault{cat("uses ", what, ", which this program does not know"), now().line};
}

NodePtr Parser::node(NodeKind kind, std::string text) const {
  auto made = std::make_unique<Node>();
  made->kind = kind;
  made->line = now().line;
  made->text = std::move(text);
  return made;
}

NodePtr Parser::finish(NodePtr node) const {
  for (const NodePtr& child : node->children)
    if (child) node->depth = std::max(node->depth, child->depth + 1);
  if (node->depth > kDeepestNode) throw Fault{"is nested too deeply", node->line};
  return node;
}

bool Parser::tuple_ends() const {
  return now().kind == TokenKind::kVariableEnd || now().kind == TokenKind::kBlockEnd ||
         at_operator(")") || at_name("recursive");
}

NodePtr Parser::tuple(bool with_condition, bool in_parentheses) {
  std::vector<NodePtr> items;
  bool has_comma = false;
  while (!tuple_ends()) {
    items.push_back(with_condition ? expression() : either());
    if (!take_operator(",")) break;
    has_comma = true;
  }
  if (!has_comma && !items.empty()) return std::move(items[0]);
  if (!has_comma && !in_parentheses) unexpected();
  NodePtr made = node(NodeKind::kTuple);
  made->children = std::move(items);
  return finish(std::move(made));
}

// value if test else other
NodePtr Parser::expression() {
  const Depth deeper(depth_);
  NodePtr value = either();
  while (take_name("if")) {
    NodePtr condition = either();
    NodePtr made = node(NodeKind::kConditional);
    made->children.push_back(std::move(condition));
    made->children.push_back(std::move(value));
    if (take_name("else")) made->children.push_back(expression());
    value = finish(std::move(made));
  }
  return value;
}

NodePtr Parser::either() {
  NodePtr left = both();
  while (take_name("or")) {
    NodePtr right = both();
    left = with(NodeKind::kOr, "", std::move(left), std::move(right));
  }
  return left;
}

NodePtr Parser::both() {
  NodePtr left = negation();
  while (take_name("and")) {
    NodePtr right = negation();
    left = with(NodeKind::kAnd, "", std::move(left), std::move(right));
  }
  return left;
}

NodePtr Parser::negation() {
  if (!at_name("not")) return comparison();
  const Depth deeper(depth_);
  take();
  return with(NodeKind::kUnary, "not", negation());
}

NodePtr Parser::comparison() {
  NodePtr first = sum();
  NodePtr made = node(NodeKind::kCompare);
  made->children.push_back(std::move(first));
  while (true) {
    const bool not_in =
        at_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in";
    const bool compares = now().kind == TokenKind::kOperator &&
                          one_of(now().text, {"==", "!=", "<", "<=", ">", ">="});
    if (!not_in && !compares && !at_name("in")) break;
    if (not_in) take();
    const std::string name = take().text;
    made->names.push_back(not_in ? "not in" : name);
    made->children.push_back(sum());
  }
  if (made->names.empty()) return std::move(made->children[0]);
  return finish(std::move(made));
}

NodePtr Parser::left_to_right(NodePtr (Parser::*part)(),
                              std::initializer_list<std::string_view> operators) {
  NodePtr left = (this->*part)();
  while (now().kind == TokenKind::kOperator && one_of(now().text, operators)) {
    const std::string name = take().text;
    NodePtr right = (this->*part)();
    left = with(NodeKind::kBinary, name, std::move(left), std::move(right));
  }
  return left;
}

NodePtr Parser::sum() {
  return left_to_right(&Parser::concatenation, {"+", "-"});
}

NodePtr Parser::concatenation() {
  NodePtr first = product();
  if (!at_operator("~")) return first;
  NodePtr made = node(NodeKind::kConcat);
  made->children.push_back(std::move(first));
  while (take_operator("~")) made->children.push_back(product());
  return finish(std::move(made));
}

NodePtr Parser::product() {
  return left_to_right(&Parser::power, {"*", "/", "//", "%"});
}
NodePtr Parser::power() {
  return left_to_right(&Parser::unary, {"**"});
}
NodePtr Parser::unary() {
  return filters_and_tests(unary_operand());
}

// A sign binds tighter than filters and looser than what stands behind its operand.
NodePtr Parser::unary_operand() {
  const Depth deeper(depth_);
  if (at_operator("-") || at_operator("+")) {
    const std::string sign = take().text;
    return postfix(with(NodeKind::kUnary, sign, unary_operand()));
  }
  return postfix(primary());
}

NodePtr Parser::primary() {
  switch (now().kind) {
    case TokenKind::kName:
      return named_or_constant();
    case TokenKind::kText: {
      NodePtr made = node(NodeKind::kConstant);
      std::string text;
      while (now().kind == TokenKind::kText) text += take().text;
      made->constant = text_value(std::move(text));
      return made;
    }
    case TokenKind::kInteger:
    case TokenKind::kReal: {
      NodePtr made = node(NodeKind::kConstant);
      made->constant = number(take());
      return made;
    }
    default:
      break;
  }
  if (at_operator("[")) return list();
  if (at_operator("{")) return dict();
  expect_operator("(");
  NodePtr inner = tuple(true, true);
  expect_operator(")");
  return inner;
}

NodePtr Parser::named_or_constant() {
  NodePtr made = node(NodeKind::kConstant);
  const std::string name = take().text;
  if (one_of(name, {"true", "True", "false", "False"})) {
    made->constant = name == "true" || name == "True";
  } else if (name == "none" || name == "None") {
    made->constant = None{};
  } else {
    made->kind = NodeKind::kName;
    made->text = name;
  }
  return made;
}

NodePtr Parser::list() {
  NodePtr made = node(NodeKind::kList);
  expect_operator("[");
  while (!at_operator("]")) {
    if (!made->children.empty()) expect_operator(",");
    if (at_operator("]")) break;
    made->children.push_back(expression());
  }
  expect_operator("]");
  return finish(std::move(made));
}

NodePtr Parser::dict() {
  NodePtr made = node(NodeKind::kDict);
  expect_operator("{");
  while (!at_operator("}")) {
    if (!made->children.empty()) expect_operator(",");
    if (at_operator("}")) break;
    made->children.push_back(expression());
    expect_operator(":");
    made->children.push_back(expression());
  }
  expect_operator("}");
  return finish(std::move(made));
}

NodePtr Parser::postfix(NodePtr value) {
  while (true) {
    if (at_operator(".") || at_operator("["))
      value = subscript(std::move(value));
    else if (at_operator("("))
      value = call(std::move(value));
    else
      return value;
  }
}

NodePtr Parser::subscript(NodePtr value) {
  if (take_operator(".")) {
    if (now().kind == TokenKind::kName)
      return with(NodeKind::kAttribute, take().text, std::move(value));
    if (now().kind != TokenKind::kInteger) unexpected();
    NodePtr index = node(NodeKind::kConstant);
    index->constant = number(take());
    return with(NodeKind::kItem, "", std::move(value), std::move(index));
  }
  expect_operator("[");
  NodePtr made = node(NodeKind::kItem);
  made->children.push_back(std::move(value));
  made->children.push_back(at_operator(":") ? nullptr : expression());
  while (take_operator(":")) {
    made->kind = NodeKind::kSlice;
    const bool given = !at_operator(":") && !at_operator("]");
    made->children.push_back(given ? expression() : nullptr);
    if (made->children.size() > 4) unexpected();
  }
  if (at_operator(",")) unknown("several indices at once");
  expect_operator("]");
  if (made->kind == NodeKind::kSlice) made->children.resize(4);
  return finish(std::move(made));
}

NodePtr Parser::filters_and_tests(NodePtr value) {
  while (true) {
    if (at_operator("|"))
      value = filter(std::move(value));
    else if (at_name("is"))
      value = test(std::move(value));
    else if (at_operator("("))
      value = call(std::move(value));
    else
      return value;
  }
}

NodePtr Parser::filter(NodePtr value) {
  expect_operator("|");
  NodePtr made = node(NodeKind::kFilter, expect_name());
  made->children.push_back(std::move(value));
  if (at_operator("(")) arguments(*made);
  return finish(std::move(made));
}

// value is [not] name, with arguments in parentheses or one without.
NodePtr Parser::test(NodePtr value) {
  take();
  const bool negated = take_name("not");
  NodePtr made = node(NodeKind::kTest, expect_name());
  made->children.push_back(std::move(value));
  const TokenKind kind = now().kind;
  const bool word =
      kind == TokenKind::kName && !one_of(now().text, {"else", "or", "and"});
  if (at_operator("(")) {
    arguments(*made);
  } else if (word || kind == TokenKind::kText || kind == TokenKind::kInteger ||
             kind == TokenKind::kReal || at_operator("[") || at_operator("{")) {
    if (at_name("is")) unexpected();
    made->children.push_back(postfix(primary()));
  }
  NodePtr done = finish(std::move(made));
  return negated ? with(NodeKind::kUnary, "not", std::move(done)) : std::move(done);
}

NodePtr Parser::call(NodePtr callee) {
  NodePtr made = node(NodeKind::kCall);
  made->children.push_back(std::move(callee));
  arguments(*made);
  return finish(std::move(made));
}

void Parser::arguments(Node& call) {
  expect_operator("(");
  bool first = true;
  while (!at_operator(")")) {
    if (!first) expect_operator(",");
    if (at_operator(")")) break;
    first = false;
    if (at_operator("*") || at_operator("**")) unknown("arguments given as * or **");
    const bool named = now().kind == TokenKind::kName &&
                       ahead().kind == TokenKind::kOperator && ahead().text == "=";
    if (named) {
      call.names.push_back(take().text);
      take();
    } else if (!call.names.empty()) {
      unexpected();
    }
    call.children.push_back(expression());
  }
  expect_operator(")");
}

}  // namespace mtrain::data::jinja
