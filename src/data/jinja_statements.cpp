// Owns the reading of Jinja's statements; called by the template.
#include <algorithm>
#include <string_view>

#include "jinja_parser.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::data::jinja {

Block Parser::parse() {
  Block body = block({});
  if (now().kind != TokenKind::kEnd) unexpected();
  return body;
}

// Statements up to a tag named in `ends`, whose name is the next token then.
Block Parser::block(std::initializer_list<std::string_view> ends) {
  const Depth deeper(depth_);
  Block body;
  while (now().kind != TokenKind::kEnd) {
    const Token token = take();
    if (token.kind == TokenKind::kData) {
      body.push_back(node(NodeKind::kText, token.text));
    } else if (token.kind == TokenKind::kVariableBegin) {
      body.push_back(with(NodeKind::kOutput, "", tuple(true, false)));
      expect_kind(TokenKind::kVariableEnd, "}}");
    } else {
      if (now().kind == TokenKind::kName &&
          std::find(ends.begin(), ends.end(), now().text) != ends.end())
        return body;
      body.push_back(statement());
    }
  }
  if (ends.size() > 0)
    throw Fault{cat("lacks {% ", *(ends.end() - 1), " %}"), now().line};
  return body;
}

void Parser::end_tag() {
  expect_kind(TokenKind::kBlockEnd, "%}");
}

NodePtr Parser::statement() {
  if (at_name("for")) return parse_for();
  if (at_name("if")) return parse_if();
  if (at_name("set")) return parse_set();
  if (at_name("macro")) return parse_macro();
  if (at_name("generation")) return parse_generation();
  for (const auto& [name, kind] :
       {std::pair("break", NodeKind::kBreak), std::pair("continue", NodeKind::kContinue)})
    if (take_name(name)) {
      NodePtr made = node(kind);
      end_tag();
      return made;
    }
  if (now().kind == TokenKind::kName) unknown(cat("{% ", now().text, " %}"));
  unexpected();
}

std::vector<std::string> Parser::targets() {
  const bool closes = take_operator("(");
  std::vector<std::string> names = {expect_name()};
  bool several = false;
  while (take_operator(",")) {
    several = true;
    if (now().kind != TokenKind::kName || at_name("in")) break;
    names.push_back(expect_name());
  }
  if (closes) expect_operator(")");
  if (several && names.size() == 1) unknown("a list of one target");
  return names;
}

NodePtr Parser::parse_for() {
  NodePtr made = node(NodeKind::kFor);
  take();
  made->names = targets();
  if (!take_name("in")) unexpected();
  made->children.push_back(tuple(false, false));
  made->children.push_back(take_name("if") ? expression() : nullptr);
  if (at_name("recursive")) unknown("recursive loops");
  end_tag();
  made->blocks.push_back(block({"else", "endfor"}));
  made->blocks.emplace_back();
  if (take_name("else")) {
    end_tag();
    made->blocks.back() = block({"endfor"});
  }
  take();
  end_tag();
  return finish(std::move(made));
}

NodePtr Parser::parse_if() {
  NodePtr made = node(NodeKind::kIf);
  take();
  while (true) {
    made->children.push_back(tuple(false, false));
    end_tag();
    made->blocks.push_back(block({"elif", "else", "endif"}));
    if (!take_name("elif")) break;
  }
  if (take_name("else")) {
    end_tag();
    made->blocks.push_back(block({"endif"}));
  }
  take();
  end_tag();
  return finish(std::move(made));
}

NodePtr Parser::parse_set() {
  NodePtr made = node(NodeKind::kSet);
  take();
  if (ahead().kind == TokenKind::kOperator && ahead().text == ".") {
    made->kind = NodeKind::kSetMember;
    made->text = expect_name();
    take();
    made->names = {expect_name()};
  } else {
    made->names = targets();
  }
  if (take_operator("=")) {
    made->children.push_back(tuple(true, false));
    end_tag();
    return finish(std::move(made));
  }
  if (at_operator("|")) unknown("filters of a {% set %} block");
  if (made->names.size() > 1) unexpected();
  end_tag();
  made->blocks.push_back(block({"endset"}));
  take();
  end_tag();
  return made;
}

NodePtr Parser::parse_macro() {
  NodePtr made = node(NodeKind::kMacro);
  take();
  made->text = expect_name();
  expect_operator("(");
  while (!at_operator(")")) {
    if (!made->names.empty()) expect_operator(",");
    made->names.push_back(expect_name());
    if (take_operator("="))
      made->children.push_back(expression());
    else if (!made->children.empty())
      unexpected();
  }
  expect_operator(")");
  end_tag();
  made->blocks.push_back(block({"endmacro"}));
  take();
  end_tag();
  return finish(std::move(made));
}

// transformers' mark of what the model wrote: rendered as it stands.
NodePtr Parser::parse_generation() {
  NodePtr made = node(NodeKind::kPlain);
  take();
  end_tag();
  made->blocks.push_back(block({"endgeneration"}));
  take();
  end_tag();
  return made;
}

}  // namespace mtrain::data::jinja
