#include "chat/jinja/expression_parser.h"

#include <charconv>
#include <cmath>

#include "chat/jinja/builtins.h"

namespace pegainfer::jinja {

Expr* ExpressionParser::make(ExprKind kind, size_t at) {
  Expr& expr = ast_.exprs.emplace_back();
  expr.kind = kind;
  expr.at = static_cast<uint32_t>(at);
  return &expr;
}

Expr* ExpressionParser::binary(Operator op, size_t at, Expr* left, Expr* right) {
  Expr* expr = make(ExprKind::kBinary, at);
  expr->op = op;
  expr->items = {left, right};
  return expr;
}

Expr* ExpressionParser::expression(bool with_conditional) {
  const TokenStream::Nested nested(stream_);
  if (!with_conditional) return disjunction();
  const size_t unknown_before = unknown.size();
  Expr* value = disjunction();
  while (stream_.is_name("if")) {
    Expr* conditional = make(ExprKind::kConditional, stream_.next().at);
    ++conditional_depth;
    Expr* condition = disjunction();
    Expr* otherwise = stream_.skip_name("else") ? expression() : nullptr;
    --conditional_depth;
    conditional->items = {condition, value, otherwise};
    unknown.resize(unknown_before);
    value = conditional;
  }
  return value;
}

Expr* ExpressionParser::disjunction() { return joined("or", ExprKind::kOr, &ExpressionParser::conjunction); }

Expr* ExpressionParser::conjunction() { return joined("and", ExprKind::kAnd, &ExpressionParser::negation); }

Expr* ExpressionParser::joined(std::string_view word, ExprKind kind, Expr* (ExpressionParser::*operand)()) {
  Expr* left = (this->*operand)();
  while (stream_.is_name(word)) {
    Expr* expr = make(kind, stream_.next().at);
    expr->items = {left, (this->*operand)()};
    left = expr;
  }
  return left;
}

Expr* ExpressionParser::negation() {
  if (!stream_.is_name("not")) return comparison();
  const TokenStream::Nested nested(stream_);
  Expr* expr = make(ExprKind::kNot, stream_.next().at);
  expr->items = {negation()};
  return expr;
}

Expr* ExpressionParser::comparison() {
  static constexpr std::pair<std::string_view, Operator> kOps[] = {
      {"==", Operator::kEq}, {"!=", Operator::kNe}, {"<", Operator::kLt},
      {"<=", Operator::kLe}, {">", Operator::kGt},  {">=", Operator::kGe}};
  const size_t at = stream_.current().at;
  Expr* left = sum();
  Expr* expr = nullptr;
  while (true) {
    Operator op = Operator::kEq;
    bool found = false;
    for (const auto& [text, code] : kOps) {
      if (stream_.is_op(text)) op = code, found = true;
    }
    if (found) {
      stream_.next();
    } else if (stream_.skip_name("in")) {
      op = Operator::kIn;
    } else if (stream_.is_name("not") && stream_.look().token == Token::kName &&
               stream_.look().text == "in") {
      stream_.next();
      stream_.next();
      op = Operator::kNotIn;
    } else {
      return expr != nullptr ? expr : left;
    }
    if (expr == nullptr) {
      expr = make(ExprKind::kCompare, at);
      expr->items = {left};
    }
    expr->ops.push_back(op);
    expr->items.push_back(sum());
  }
}

Expr* ExpressionParser::sum() {
  Expr* left = concatenation();
  while (stream_.is_op("+") || stream_.is_op("-")) {
    const Lexeme& op = stream_.next();
    left = binary(op.text == "+" ? Operator::kAdd : Operator::kSub, op.at, left, concatenation());
  }
  return left;
}

Expr* ExpressionParser::concatenation() {
  Expr* first = product();
  if (!stream_.is_op("~")) return first;
  Expr* expr = make(ExprKind::kConcat, stream_.current().at);
  expr->items = {first};
  while (stream_.skip_op("~")) expr->items.push_back(product());
  return expr;
}

Expr* ExpressionParser::product() {
  static constexpr std::pair<std::string_view, Operator> kOps[] = {
      {"*", Operator::kMul}, {"/", Operator::kDiv}, {"//", Operator::kFloorDiv}, {"%", Operator::kMod}};
  Expr* left = power();
  while (stream_.is(Token::kOperator)) {
    const auto* found = std::find_if(std::begin(kOps), std::end(kOps),
                                     [&](const auto& op) { return stream_.current().text == op.first; });
    if (found == std::end(kOps)) break;
    const size_t at = stream_.next().at;
    left = binary(found->second, at, left, power());
  }
  return left;
}

Expr* ExpressionParser::power() {
  Expr* left = unary(true);
  while (stream_.is_op("**")) {
    const size_t at = stream_.next().at;
    left = binary(Operator::kPow, at, left, unary(true));
  }
  return left;
}

Expr* ExpressionParser::unary(bool with_filter) {
  const TokenStream::Nested nested(stream_);
  Expr* expr = nullptr;
  if (stream_.is_op("-") || stream_.is_op("+")) {
    const Lexeme& op = stream_.next();
    expr = make(op.text == "-" ? ExprKind::kNeg : ExprKind::kPos, op.at);
    expr->items = {unary(false)};
  } else {
    expr = primary();
  }
  expr = postfix(expr);
  return with_filter ? tail(expr) : expr;
}

Expr* ExpressionParser::name(const Lexeme& lexeme) {
  Expr* expr = make(ExprKind::kName, lexeme.at);
  expr->symbol = ast_.intern(lexeme.text);
  expr->name = std::make_shared<const std::string>(lexeme.text);
  for (MacroDefinition* macro : macros) {
    macro->uses_caller |= lexeme.text == "caller";
    macro->uses_varargs |= lexeme.text == "varargs";
    macro->uses_kwargs |= lexeme.text == "kwargs";
  }
  return expr;
}

Value ExpressionParser::number(const Lexeme& lexeme) {
  const std::string& text = lexeme.text;
  if (lexeme.token == Token::kFloat) {
    double value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec == std::errc::result_out_of_range)
      value = text.find("e-") == std::string::npos ? HUGE_VAL : 0.0;
    return {value};
  }
  int base = 10;
  size_t skip = 0;
  if (text.size() > 2 && text[0] == '0') {
    base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
    skip = base == 10 ? 0 : 2;
  }
  int64_t value = 0;
  const auto result = std::from_chars(text.data() + skip, text.data() + text.size(), value, base);
  if (result.ec != std::errc()) throw Failure("the integer is too large", lexeme.at);
  return {value};
}

Expr* ExpressionParser::primary() {
  const Lexeme& lexeme = stream_.current();
  if (lexeme.token == Token::kName) {
    stream_.next();
    const std::string& text = lexeme.text;
    const bool is_true = text == "true" || text == "True";
    if (!is_true && text != "false" && text != "False" && text != "none" && text != "None")
      return name(lexeme);
    Expr* expr = make(ExprKind::kConst, lexeme.at);
    expr->constant = text == "none" || text == "None" ? Value(None{}) : Value(is_true);
    return expr;
  }
  if (lexeme.token == Token::kString) {
    std::string text;
    while (stream_.is(Token::kString)) text += stream_.next().text;
    Expr* expr = make(ExprKind::kConst, lexeme.at);
    expr->constant = Value::string(text);
    return expr;
  }
  if (lexeme.token == Token::kInteger || lexeme.token == Token::kFloat) {
    stream_.next();
    Expr* expr = make(ExprKind::kConst, lexeme.at);
    expr->constant = number(lexeme);
    return expr;
  }
  if (stream_.is_op("(")) return parenthesized();
  if (stream_.is_op("[")) return list();
  if (stream_.is_op("{")) return dict();
  stream_.fail(fmt::format("unexpected {}", TokenStream::describe(lexeme)));
}

Expr* ExpressionParser::parenthesized() {
  const size_t at = stream_.next().at;
  if (stream_.skip_op(")")) return make(ExprKind::kTuple, at);
  Expr* expr = tuple(true, ")");
  stream_.expect_op(")");
  return expr;
}

Expr* ExpressionParser::list() {
  Expr* expr = make(ExprKind::kList, stream_.next().at);
  while (!stream_.is_op("]")) {
    if (!expr->items.empty()) {
      stream_.expect_op(",");
      if (stream_.is_op("]")) break;
    }
    expr->items.push_back(expression());
  }
  stream_.expect_op("]");
  return expr;
}

Expr* ExpressionParser::dict() {
  Expr* expr = make(ExprKind::kDict, stream_.next().at);
  while (!stream_.is_op("}")) {
    if (!expr->items.empty()) {
      stream_.expect_op(",");
      if (stream_.is_op("}")) break;
    }
    expr->items.push_back(expression());
    stream_.expect_op(":");
    expr->items.push_back(expression());
  }
  stream_.expect_op("}");
  return expr;
}

bool ExpressionParser::tuple_ends(std::string_view end) const {
  if (stream_.is(Token::kVariableEnd) || stream_.is(Token::kBlockEnd) || stream_.is_op(")")) return true;
  return !end.empty() && (stream_.is_name(end) || stream_.is_op(end));
}

Expr* ExpressionParser::tuple(bool with_conditional, std::string_view end) {
  const size_t at = stream_.current().at;
  Expr* first = expression(with_conditional);
  if (!stream_.is_op(",")) return first;
  Expr* expr = make(ExprKind::kTuple, at);
  expr->items = {first};
  while (stream_.skip_op(",") && !tuple_ends(end)) expr->items.push_back(expression(with_conditional));
  return expr;
}

Expr* ExpressionParser::name_target() {
  const size_t at = stream_.current().at;
  const std::string text = stream_.expect_name();
  if (text == "true" || text == "false" || text == "none" || text == "True" || text == "False" ||
      text == "None") {
    throw Failure(fmt::format("can not assign to '{}'", text), at);
  }
  Expr* expr = make(ExprKind::kName, at);
  expr->symbol = ast_.intern(text);
  expr->name = std::make_shared<const std::string>(text);
  return expr;
}

Expr* ExpressionParser::target(bool with_tuple, bool names_only, std::string_view end) {
  const TokenStream::Nested nested(stream_);
  const size_t at = stream_.current().at;
  const auto one = [&]() -> Expr* {
    if (stream_.skip_op("(")) {
      Expr* inner = target(true, names_only, ")");
      stream_.expect_op(")");
      return inner;
    }
    Expr* name = name_target();
    if (names_only || !stream_.is_op(".")) return name;
    stream_.next();
    Expr* expr = make(ExprKind::kNamespaceTarget, at);
    expr->name = std::make_shared<const std::string>(stream_.expect_name());
    expr->items = {name};
    return expr;
  };
  Expr* first = one();
  if (!with_tuple || !stream_.is_op(",")) return first;
  Expr* expr = make(ExprKind::kTuple, at);
  expr->items = {first};
  while (stream_.skip_op(",") && !tuple_ends(end) && !stream_.is_op("=")) expr->items.push_back(one());
  return expr;
}

Expr* ExpressionParser::postfix(Expr* inner) {
  while (stream_.is(Token::kOperator)) {
    if (stream_.is_op(".") || stream_.is_op("[")) {
      inner = subscript(inner);
    } else if (stream_.is_op("(")) {
      Expr* call = make(ExprKind::kCall, stream_.current().at);
      call->items = {inner};
      arguments(*call);
      inner = call;
    } else {
      break;
    }
  }
  return inner;
}

Expr* ExpressionParser::tail(Expr* inner) {
  while (true) {
    if (stream_.is_op("|")) {
      inner = filter(inner);
    } else if (stream_.is_name("is")) {
      inner = test(inner);
    } else if (stream_.is_op("(")) {
      Expr* call = make(ExprKind::kCall, stream_.current().at);
      call->items = {inner};
      arguments(*call);
      inner = call;
    } else {
      return inner;
    }
  }
}

Expr* ExpressionParser::subscript(Expr* inner) {
  const Lexeme& open = stream_.next();
  if (open.text == "[") {
    Expr* expr = subscribed(inner);
    stream_.expect_op("]");
    return expr;
  }
  const Lexeme& key = stream_.next();
  if (key.token == Token::kName) {
    Expr* expr = make(ExprKind::kAttribute, key.at);
    expr->name = std::make_shared<const std::string>(key.text);
    expr->items = {inner};
    return expr;
  }
  if (key.token != Token::kInteger) throw Failure("expected a name or a number after '.'", key.at);
  Expr* index = make(ExprKind::kConst, key.at);
  index->constant = number(key);
  Expr* expr = make(ExprKind::kItem, key.at);
  expr->items = {inner, index};
  return expr;
}

Expr* ExpressionParser::subscribed(Expr* inner) {
  const size_t at = stream_.current().at;
  Expr* parts[3] = {nullptr, nullptr, nullptr};
  int colons = 0;
  while (!stream_.is_op("]")) {
    if (stream_.skip_op(":")) {
      if (++colons > 2) stream_.fail("a slice has more than three parts");
    } else if (colons == 0 && parts[0] != nullptr) {
      stream_.expect_op(",");
      // `a[1, 2]`: the key is a tuple.
      Expr* key = make(ExprKind::kTuple, at);
      key->items = {parts[0]};
      while (!stream_.is_op("]")) {
        key->items.push_back(expression());
        if (!stream_.skip_op(",")) break;
      }
      parts[0] = key;
      break;
    } else if (parts[colons] != nullptr) {
      stream_.fail("expected ']'");
    } else {
      parts[colons] = expression();
    }
  }
  if (colons == 0 && parts[0] == nullptr) stream_.fail("expected a subscript");
  Expr* expr = make(colons > 0 ? ExprKind::kSlice : ExprKind::kItem, at);
  if (colons > 0) {
    expr->items = {inner, parts[0], parts[1], parts[2]};
  } else {
    expr->items = {inner, parts[0]};
  }
  return expr;
}

void ExpressionParser::arguments(Expr& call) {
  stream_.expect_op("(");
  bool first = true;
  while (!stream_.is_op(")")) {
    if (!first) {
      stream_.expect_op(",");
      if (stream_.is_op(")")) break;
    }
    first = false;
    if (stream_.skip_op("**")) {
      if (call.star_star != nullptr) stream_.fail("'**' a second time in a call");
      call.star_star = expression();
    } else if (stream_.skip_op("*")) {
      if (call.star != nullptr || call.star_star != nullptr) stream_.fail("'*' out of place in a call");
      call.star = expression();
    } else if (stream_.is(Token::kName) && stream_.look().token == Token::kOperator &&
               stream_.look().text == "=") {
      if (call.star_star != nullptr) stream_.fail("an argument after '**'");
      std::string key = stream_.next().text;
      stream_.next();
      for (const auto& [other, value] : call.named) {
        if (other == key) stream_.fail(fmt::format("the argument '{}' is repeated", key));
      }
      call.named.emplace_back(std::move(key), expression());
    } else {
      if (!call.named.empty() || call.star != nullptr || call.star_star != nullptr) {
        stream_.fail("a positional argument after named ones");
      }
      call.positional.push_back(expression());
    }
  }
  stream_.expect_op(")");
}

Expr* ExpressionParser::filters(Expr* inner) {
  while (stream_.is_op("|")) inner = filter(inner);
  return inner;
}

Expr* ExpressionParser::first_filter(Expr* inner) { return filters(named_filter(inner)); }

Expr* ExpressionParser::filter(Expr* inner) {
  stream_.expect_op("|");
  return named_filter(inner);
}

Expr* ExpressionParser::named_filter(Expr* inner) {
  Expr* expr = make(ExprKind::kFilter, stream_.current().at);
  std::string text = stream_.expect_name();
  while (stream_.skip_op(".")) text += "." + stream_.expect_name();
  expr->function = find_filter(text);
  if (expr->function == nullptr && conditional_depth == 0) unknown.push_back(expr);
  expr->name = std::make_shared<const std::string>(std::move(text));
  expr->items = {inner};
  if (stream_.is_op("(")) arguments(*expr);
  return expr;
}

Expr* ExpressionParser::test(Expr* inner) {
  const size_t at = stream_.next().at;
  const bool negated = stream_.skip_name("not");
  Expr* expr = make(ExprKind::kTest, stream_.current().at);
  std::string text = stream_.expect_name();
  while (stream_.skip_op(".")) text += "." + stream_.expect_name();
  expr->function = find_test(text);
  if (expr->function == nullptr && conditional_depth == 0) unknown.push_back(expr);
  expr->name = std::make_shared<const std::string>(std::move(text));
  expr->items = {inner};
  const Token token = stream_.current().token;
  if (stream_.is_op("(")) {
    arguments(*expr);
  } else if ((token == Token::kName && !stream_.is_name("else") && !stream_.is_name("or") &&
              !stream_.is_name("and")) ||
             token == Token::kString || token == Token::kInteger || token == Token::kFloat ||
             stream_.is_op("[") || stream_.is_op("{")) {
    if (stream_.is_name("is")) stream_.fail("tests can not be chained with 'is'");
    const TokenStream::Nested nested(stream_);
    expr->positional = {postfix(primary())};
  }
  if (!negated) return expr;
  Expr* negation = make(ExprKind::kNot, at);
  negation->items = {expr};
  return negation;
}

}  // namespace pegainfer::jinja
