#include "chat/jinja/parser.h"

#include <fmt/format.h>

#include <initializer_list>

#include "chat/jinja/expression_parser.h"

namespace pegainfer::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::string_view source, const Limits& limits)
      : stream_(tokenize(source), limits.parse_depth), expressions_(stream_, *ast_) {}

  std::unique_ptr<Ast> run() {
    ast_->body = body({});
    if (!expressions_.unknown.empty()) {
      const Expr& first = *expressions_.unknown.front();
      throw Failure(
          fmt::format("no {} named '{}'", first.kind == ExprKind::kFilter ? "filter" : "test", *first.name),
          first.at);
    }
    return std::move(ast_);
  }

 private:
  Stmt* make(StmtKind kind, size_t at) {
    Stmt& stmt = ast_->stmts.emplace_back();
    stmt.kind = kind;
    stmt.at = static_cast<uint32_t>(at);
    return &stmt;
  }

  // Statements up to the block that one of `ends` begins; the stream is then behind that name.
  Body body(Names ends) {
    const TokenStream::Nested nested(stream_);
    Body out;
    while (!stream_.is(Token::kEnd)) {
      if (stream_.is(Token::kData)) {
        const Lexeme& data = stream_.next();
        Stmt* stmt = make(StmtKind::kText, data.at);
        stmt->text = make_text(data.text);
        out.push_back(stmt);
      } else if (stream_.is(Token::kVariableBegin)) {
        Stmt* stmt = make(StmtKind::kPrint, stream_.next().at);
        stmt->expr = expressions_.tuple();
        stream_.expect(Token::kVariableEnd, "'}}'");
        out.push_back(stmt);
      } else {
        stream_.expect(Token::kBlockBegin, "'{%'");
        for (const std::string_view end : ends) {
          if (stream_.skip_name(end)) {
            end_ = end;
            return out;
          }
        }
        if (Stmt* stmt = statement()) out.push_back(stmt);
      }
    }
    if (ends.size() != 0) stream_.fail(fmt::format("expected '{{% {} %}}'", *(ends.end() - 1)));
    return out;
  }
  void block_end() { stream_.expect(Token::kBlockEnd, "'%}'"); }
  // A body and the end of its last tag.
  Body whole_body(std::string_view end) {
    block_end();
    Body out = body({end});
    return out;
  }

  Stmt* statement() {
    const Lexeme& tag = stream_.current();
    if (tag.token != Token::kName) stream_.fail("expected a tag's name");
    const std::string& name = tag.text;
    stream_.next();
    if (name == "if") return if_block(tag.at);
    if (name == "for") return for_block(tag.at);
    if (name == "set") return set_block(tag.at);
    if (name == "macro") return macro_block(tag.at);
    if (name == "call") return call_block(tag.at);
    if (name == "filter") return filter_block(tag.at);
    if (name == "with") return with_block(tag.at);
    if (name == "print") return print(tag.at);
    if (name == "generation") return scope(tag.at, "endgeneration");
    if (name == "autoescape") return autoescape(tag.at);
    if (name == "block") return named_block(tag.at);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) throw Failure(fmt::format("'{}' outside of a loop", name), tag.at);
      Stmt* stmt = make(name == "break" ? StmtKind::kBreak : StmtKind::kContinue, tag.at);
      block_end();
      return stmt;
    }
    if (name == "include" || name == "import" || name == "from" || name == "extends") {
      throw Failure(fmt::format("'{}' needs other templates, and there are none", name), tag.at);
    }
    throw Failure(fmt::format("unknown tag '{}'", name), tag.at);
  }

  Stmt* if_block(size_t at) {
    Stmt* stmt = make(StmtKind::kIf, at);
    ++expressions_.conditional_depth;
    do {
      Expr* condition = expressions_.tuple(false);
      block_end();
      stmt->branches.emplace_back(condition, body({"elif", "else", "endif"}));
    } while (end_ == "elif");
    if (end_ == "else") {
      block_end();
      stmt->otherwise = body({"endif"});
    }
    --expressions_.conditional_depth;
    block_end();
    return stmt;
  }

  Stmt* for_block(size_t at) {
    Stmt* stmt = make(StmtKind::kFor, at);
    stmt->target = expressions_.target(true, true, "in");
    if (stmt->target->kind == ExprKind::kName && *stmt->target->name == "loop") {
      throw Failure("'loop' can not be the variable of a loop", stmt->target->at);
    }
    if (!stream_.skip_name("in")) stream_.fail("expected 'in'");
    stmt->expr = expressions_.tuple(false, "recursive");
    if (stream_.skip_name("if")) stmt->test = expressions_.expression();
    stmt->recursive = stream_.skip_name("recursive");
    block_end();
    ++loops_;
    stmt->body = body({"else", "endfor"});
    --loops_;
    if (end_ == "else") {
      block_end();
      stmt->otherwise = body({"endfor"});
    }
    block_end();
    return stmt;
  }

  Stmt* set_block(size_t at) {
    Stmt* stmt = make(StmtKind::kSet, at);
    stmt->target = expressions_.target(true, false);
    if (stream_.skip_op("=")) {
      stmt->expr = expressions_.tuple();
      block_end();
      return stmt;
    }
    stmt->kind = StmtKind::kSetBlock;
    stmt->expr = expressions_.filters(expressions_.make(ExprKind::kCaptured, at));
    stmt->body = whole_body("endset");
    block_end();
    return stmt;
  }

  void signature(MacroDefinition& macro) {
    stream_.expect_op("(");
    while (!stream_.is_op(")")) {
      if (!macro.parameters.empty()) stream_.expect_op(",");
      const Expr* name = expressions_.name_target();
      macro.parameters.push_back(name->symbol);
      macro.parameter_names.push_back(name->name);
      if (stream_.skip_op("=")) {
        macro.defaults.push_back(expressions_.expression());
      } else if (!macro.defaults.empty()) {
        stream_.fail("a parameter without a default after one with");
      }
    }
    stream_.expect_op(")");
  }

  // The body of a macro or a caller, in which loops around it can not be left.
  void macro_body(MacroDefinition& macro, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    expressions_.macros.push_back(&macro);
    macro.body = whole_body(end);
    expressions_.macros.pop_back();
    loops_ = loops;
    block_end();
  }

  Stmt* macro_block(size_t at) {
    Stmt* stmt = make(StmtKind::kMacro, at);
    stmt->macro = std::make_unique<MacroDefinition>();
    const Expr* name = expressions_.name_target();
    stmt->symbol = name->symbol;
    stmt->macro->name = *name->name;
    signature(*stmt->macro);
    macro_body(*stmt->macro, "endmacro");
    return stmt;
  }

  Stmt* call_block(size_t at) {
    Stmt* stmt = make(StmtKind::kCall, at);
    stmt->macro = std::make_unique<MacroDefinition>();
    stmt->macro->name = "caller";
    if (stream_.is_op("(")) signature(*stmt->macro);
    stmt->expr = expressions_.expression();
    if (stmt->expr->kind != ExprKind::kCall) throw Failure("expected a call", stmt->expr->at);
    macro_body(*stmt->macro, "endcall");
    return stmt;
  }

  Stmt* filter_block(size_t at) {
    Stmt* stmt = make(StmtKind::kFilter, at);
    // `{% filter a | b %}`: the first name has no '|' before it.
    stmt->expr = expressions_.first_filter(expressions_.make(ExprKind::kCaptured, at));
    stmt->body = whole_body("endfilter");
    block_end();
    return stmt;
  }

  Stmt* with_block(size_t at) {
    Stmt* stmt = make(StmtKind::kWith, at);
    while (!stream_.is(Token::kBlockEnd)) {
      if (!stmt->assignments.empty()) stream_.expect_op(",");
      Expr* target = expressions_.target(false, true);
      stream_.expect_op("=");
      stmt->assignments.emplace_back(target, expressions_.expression());
    }
    stmt->body = whole_body("endwith");
    block_end();
    return stmt;
  }

  Stmt* print(size_t at) {
    Stmt* stmt = make(StmtKind::kPrint, at);
    stmt->expr = expressions_.tuple();
    block_end();
    return stmt;
  }

  Stmt* scope(size_t at, std::string_view end) {
    Stmt* stmt = make(StmtKind::kScope, at);
    stmt->body = whole_body(end);
    block_end();
    return stmt;
  }

  Stmt* autoescape(size_t at) {
    if (!stream_.skip_name("false") && !stream_.skip_name("False"))
      stream_.fail("autoescape can only be false");
    return scope(at, "endautoescape");
  }

  Stmt* named_block(size_t at) {
    const std::string name = stream_.expect_name();
    while (stream_.skip_name("scoped") || stream_.skip_name("required")) {
    }
    Stmt* stmt = make(StmtKind::kScope, at);
    stmt->body = whole_body("endblock");
    stream_.skip_name(name);
    block_end();
    return stmt;
  }

  std::unique_ptr<Ast> ast_ = std::make_unique<Ast>();
  TokenStream stream_;
  ExpressionParser expressions_;
  std::string_view end_;  // the tag that ended the last body
  int loops_ = 0;
};

}  // namespace

std::unique_ptr<Ast> parse(std::string_view source, const Limits& limits) {
  return Parser(source, limits).run();
}

}  // namespace pegainfer::jinja
