// From tokens of Jinja to a tree.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja_lexer.hpp"
#include "jinja_node.hpp"

namespace mtrain::data::jinja {

/// Reads one template. Precedence and grammar are jinja2's. Throws Fault.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Block parse();

 private:
  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const;
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool at_operator(std::string_view text) const;
  bool at_name(std::string_view name) const;
  bool take_operator(std::string_view text);
  bool take_name(std::string_view name);
  void expect_operator(std::string_view text);
  void expect_kind(TokenKind kind, const char* what);
  std::string expect_name();
  [[noreturn]] void unexpected() const;
  /// Fault for what jinja2 knows and this program does not.
  [[noreturn]] void unknown(const std::string& what) const;

  // Nodes.
  NodePtr node(NodeKind kind, std::string text = {}) const;
  NodePtr finish(NodePtr node) const;
  template <class... Children>
  NodePtr with(NodeKind kind, std::string text, Children... children) const {
    NodePtr made = node(kind, std::move(text));
    (made->children.push_back(std::move(children)), ...);
    return finish(std::move(made));
  }

  // Statements.
  Block block(std::initializer_list<std::string_view> ends);
  NodePtr statement();
  NodePtr parse_for();
  NodePtr parse_if();
  NodePtr parse_set();
  NodePtr parse_macro();
  NodePtr parse_generation();
  std::vector<std::string> targets();
  void end_tag();

  // Expressions, from the loosest to the tightest.
  NodePtr tuple(bool with_condition, bool in_parentheses);
  bool tuple_ends() const;
  NodePtr expression();
  NodePtr either();
  NodePtr both();
  NodePtr negation();
  NodePtr comparison();
  NodePtr sum();
  NodePtr concatenation();
  NodePtr product();
  NodePtr power();
  NodePtr unary();
  NodePtr unary_operand();
  NodePtr primary();
  NodePtr named_or_constant();
  NodePtr list();
  NodePtr dict();
  NodePtr postfix(NodePtr value);
  NodePtr subscript(NodePtr value);
  NodePtr filters_and_tests(NodePtr value);
  NodePtr filter(NodePtr value);
  NodePtr test(NodePtr value);
  NodePtr call(NodePtr callee);
  void arguments(Node& call);
  NodePtr left_to_right(NodePtr (Parser::*part)(),
                        std::initializer_list<std::string_view> operators);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace mtrain::data::jinja
