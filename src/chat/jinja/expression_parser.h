// The expressions of the language.
#pragma once

#include <string>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/token_stream.h"

namespace pegainfer::jinja {

class ExpressionParser {
 public:
  ExpressionParser(TokenStream& stream, Ast& ast) : stream_(stream), ast_(ast) {}

  Expr* expression(bool with_conditional = true);
  // An expression, or several with commas between: a tuple. `end`: a name that ends it ("in", "recursive").
  Expr* tuple(bool with_conditional = true, std::string_view end = {});
  // What can be assigned to. `names_only`: no namespace attributes.
  Expr* target(bool with_tuple, bool names_only, std::string_view end = {});
  Expr* name_target();
  // `| a | b`: around `inner`.
  Expr* filters(Expr* inner);
  Expr* first_filter(Expr* inner);  // the same with no '|' before the first
  Expr* primary();
  Expr* unary(bool with_filter);
  Expr* make(ExprKind kind, size_t at);

  // Within a condition an unknown filter is an error only once it is reached.
  int conditional_depth = 0;
  std::vector<const Expr*> unknown;  // filters and tests outside of conditions that do not exist
  // The macros that are being read: special names in their bodies say what they take.
  std::vector<MacroDefinition*> macros;

 private:
  Expr* disjunction();
  Expr* conjunction();
  // Operands with `word` between them, from the left.
  Expr* joined(std::string_view word, ExprKind kind, Expr* (ExpressionParser::*operand)());
  Expr* negation();
  Expr* comparison();
  Expr* sum();
  Expr* concatenation();
  Expr* product();
  Expr* power();
  Expr* postfix(Expr* inner);
  Expr* subscript(Expr* inner);
  Expr* subscribed(Expr* inner);
  Expr* tail(Expr* inner);  // filters, tests and calls
  Expr* filter(Expr* inner);
  Expr* named_filter(Expr* inner);
  Expr* test(Expr* inner);
  Expr* name(const Lexeme& lexeme);
  Expr* binary(Operator op, size_t at, Expr* left, Expr* right);
  Expr* list();
  Expr* dict();
  Expr* parenthesized();
  [[nodiscard]] bool tuple_ends(std::string_view end) const;
  void arguments(Expr& call);
  Value number(const Lexeme& lexeme);

  TokenStream& stream_;
  Ast& ast_;
};

}  // namespace pegainfer::jinja
