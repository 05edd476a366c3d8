// The tree of a Jinja template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja_value.hpp"

namespace mtrain::data::jinja {

enum class NodeKind {
  // Expressions.
  kConstant,     ///< constant
  kName,         ///< text
  kList,         ///< children
  kTuple,        ///< children
  kDict,         ///< children: key, value by turns
  kUnary,        ///< text - + not, one child
  kAnd,          ///< two children
  kOr,           ///< two children
  kBinary,       ///< text + - * / // % **, two children
  kConcat,       ///< children
  kCompare,      ///< children; names: the operators between them
  kConditional,  ///< test, value, other value or none
  kAttribute,    ///< one child, text
  kItem,         ///< container, index
  kSlice,        ///< container, first, last, step; null where not given
  kCall,         ///< callee, then arguments; names: of the last of them
  kFilter,       ///< value, then arguments; text; names
  kTest,         ///< the same
  // Statements.
  kText,       ///< text
  kOutput,     ///< one child
  kFor,        ///< items, filter or null; names: targets; blocks: body, else
  kIf,         ///< children: tests; blocks: one for each, and one for else
  kSet,        ///< names: targets; one child, or blocks: one, for its text
  kSetMember,  ///< text: namespace; names: one; the rest as kSet
  kMacro,      ///< text; names: parameters; children: defaults of the last; blocks: one
  kPlain,      ///< blocks: one, that is rendered as it stands
  kBreak,
  kContinue,
};

struct Node;
using NodePtr = std::unique_ptr<Node>;
using Block = std::vector<NodePtr>;

struct Node {
  NodeKind kind;
  int line = 0;
  std::string text = {};
  Value constant = None{};
  std::vector<NodePtr> children = {};
  std::vector<std::string> names = {};
  std::vector<Block> blocks = {};
  int depth = 1;  ///< of children within each other
};

}  // namespace mtrain::data::jinja
