// The syntax tree. Nodes lie flat in their Ast and point at each other: no depth of nesting makes their end a
// recursion.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace pegainfer::jinja {

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kTuple,
  kList,
  kDict,    // items: key, value, key, value, ...
  kConcat,  // a ~ b ~ c
  kAnd,
  kOr,
  kNot,
  kNeg,
  kPos,
  kBinary,           // op
  kCompare,          // items with ops between them
  kConditional,      // items: condition, then, else or null
  kAttribute,        // items[0].name
  kItem,             // items[0][items[1]]
  kSlice,            // items[0][items[1] : items[2] : items[3]], null where left out
  kCall,             // items[0](arguments)
  kFilter,           // items[0] | name(arguments)
  kTest,             // items[0] is name(arguments)
  kCaptured,         // the text of a filter or set block
  kNamespaceTarget,  // {% set name.attribute = %}: items[0].name
};

enum class Operator : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  Operator op = Operator::kAdd;
  uint32_t at = 0;
  int symbol = -1;                          // of kName
  std::shared_ptr<const std::string> name;  // of kName, kAttribute, kFilter, kTest
  Value constant;
  std::vector<Expr*> items;
  std::vector<Operator> ops;
  // Arguments of calls, filters and tests.
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string, Expr*>> named;
  Expr* star = nullptr;
  Expr* star_star = nullptr;
  Function function = nullptr;  // of kFilter and kTest; null: there is none of this name
};

enum class StmtKind : uint8_t {
  kText,
  kPrint,
  kIf,        // branches
  kFor,       // target in expr if test: body else otherwise
  kSet,       // target = expr
  kSetBlock,  // target = body through expr (kCaptured at its root; null: none)
  kMacro,
  kCall,    // expr is the call; macro the caller
  kFilter,  // expr over body
  kWith,    // targets = values: body
  kScope,   // body
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt*>;

struct MacroDefinition {
  std::string name;
  std::vector<int> parameters;
  std::vector<std::shared_ptr<const std::string>> parameter_names;
  std::vector<Expr*> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  uint32_t at = 0;
  TextPtr text;
  Expr* target = nullptr;
  Expr* expr = nullptr;
  Expr* test = nullptr;
  bool recursive = false;
  Body body;
  Body otherwise;
  std::vector<std::pair<Expr*, Body>> branches;
  std::vector<std::pair<Expr*, Expr*>> assignments;
  std::unique_ptr<MacroDefinition> macro;
  int symbol = -1;  // of a macro's name
};

struct Ast {
  Body body;
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::unordered_map<std::string, int> symbols;

  int intern(const std::string& name) {
    return symbols.try_emplace(name, static_cast<int>(symbols.size())).first->second;
  }
  [[nodiscard]] int find(const std::string& name) const {
    const auto found = symbols.find(name);
    return found == symbols.end() ? -1 : found->second;
  }
};

}  // namespace pegainfer::jinja
