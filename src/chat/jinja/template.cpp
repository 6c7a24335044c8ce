#include "chat/jinja/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/lexer.h"
#include "chat/jinja/parser.h"

namespace pegainfer::jinja {
namespace {

constexpr size_t kLongestMessage =
    1000;  // bytes; a template can raise what the request says, megabytes of it

// Whole characters of the beginning.
void shorten(std::string& message) {
  if (message.size() <= kLongestMessage) return;
  size_t end = kLongestMessage;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) --end;
  message.resize(end);
  message += "...";
}

}  // namespace

Template::Template(std::string source, const Limits& limits) : source_(std::move(source)), limits_(limits) {}
Template::~Template() = default;

// `message` may quote the template and its data: control bytes, line breaks among them, become spaces.
Error Template::error(std::string message, size_t at) const {
  std::replace_if(
      message.begin(), message.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  shorten(message);
  const std::string_view before = std::string_view(source_).substr(0, std::min(at, source_.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  const size_t column = length(before.substr(start == std::string_view::npos ? 0 : start + 1)) + 1;
  return invalid_argument(fmt::format("chat template: line {}, column {}: {}", line, column, message), "",
                          "template_error");
}

Result<std::shared_ptr<const Template>> Template::compile(std::string_view source, const Limits& limits) {
  if (source.size() > limits.source_bytes) {
    return invalid_argument(
        fmt::format("chat template: {} bytes are more than {}", source.size(), limits.source_bytes), "",
        "template_error");
  }
  std::shared_ptr<Template> made(new Template(normalize_source(source), limits));
  try {
    made->ast_ = parse(made->source_, limits);
  } catch (const Failure& failure) {
    return made->error(failure.what(), failure.at());
  }
  return std::shared_ptr<const Template>(std::move(made));
}

Result<Text> Template::render(const Variables& variables, size_t input_bytes,
                              std::chrono::system_clock::time_point now) const {
  Runtime runtime(limits_, input_bytes, now);
  try {
    return Interpreter(*ast_, runtime).run(variables);
  } catch (const Failure& failure) {
    return error(failure.what(), failure.at());
  }
}

namespace {

// The name that an expression is about once slices and filters are taken off; nullptr: none.
const Expr* core(const Expr* expr) {
  while (expr->kind == ExprKind::kSlice || expr->kind == ExprKind::kFilter) expr = expr->items[0];
  return expr;
}
bool is_name(const Expr* expr, const std::set<int>& symbols) {
  return expr->kind == ExprKind::kName && symbols.count(expr->symbol) != 0;
}
bool reads(const Expr* expr, const std::set<int>& holders, const std::string& attribute) {
  if (expr->kind == ExprKind::kAttribute) return *expr->name == attribute && is_name(expr->items[0], holders);
  return expr->kind == ExprKind::kItem && expr->items[1]->kind == ExprKind::kConst &&
         expr->items[1]->constant.is_string() && expr->items[1]->constant.bytes() == attribute &&
         is_name(expr->items[0], holders);
}

}  // namespace

bool Template::iterates_over(const std::string& sequence, const std::string& attribute) const {
  // Macros that get a content to write are not followed beyond their parameters' names; names are enough.
  std::set<int> sequences{ast_->find(sequence)}, items, contents;
  size_t before = 0;
  do {  // until no more names turn up
    before = sequences.size() + items.size() + contents.size();
    for (const Stmt& stmt : ast_->stmts) {
      if (stmt.expr == nullptr || stmt.target == nullptr || stmt.target->kind != ExprKind::kName) continue;
      const Expr* from = core(stmt.expr);
      if (stmt.kind == StmtKind::kSet) {
        if (is_name(from, sequences)) sequences.insert(stmt.target->symbol);
        if (is_name(from, contents) || reads(from, items, attribute)) contents.insert(stmt.target->symbol);
        if (is_name(from, items)) items.insert(stmt.target->symbol);
        if (from->kind == ExprKind::kItem && is_name(from->items[0], sequences))
          items.insert(stmt.target->symbol);
      } else if (stmt.kind == StmtKind::kFor) {
        if (is_name(from, sequences)) items.insert(stmt.target->symbol);
      }
    }
    // What a macro is called with.
    for (const Expr& expr : ast_->exprs) {
      if (expr.kind != ExprKind::kCall || expr.items[0]->kind != ExprKind::kName) continue;
      for (const Stmt& stmt : ast_->stmts) {
        if (stmt.kind != StmtKind::kMacro || stmt.symbol != expr.items[0]->symbol) continue;
        for (size_t i = 0; i < expr.positional.size() && i < stmt.macro->parameters.size(); ++i) {
          const Expr* from = core(expr.positional[i]);
          if (is_name(from, contents) || reads(from, items, attribute))
            contents.insert(stmt.macro->parameters[i]);
          if (is_name(from, items)) items.insert(stmt.macro->parameters[i]);
          if (is_name(from, sequences)) sequences.insert(stmt.macro->parameters[i]);
        }
      }
    }
  } while (before != sequences.size() + items.size() + contents.size());
  return std::any_of(ast_->stmts.begin(), ast_->stmts.end(), [&](const Stmt& stmt) {
    if (stmt.kind != StmtKind::kFor) return false;
    const Expr* from = core(stmt.expr);
    return is_name(from, contents) || reads(from, items, attribute);
  });
}

}  // namespace pegainfer::jinja
