// The parser's view of the tokens, and its guard against nesting.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/error.h"
#include "chat/jinja/lexer.h"

namespace pegainfer::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Lexeme> tokens, int max_depth)
      : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  [[nodiscard]] const Lexeme& current() const { return tokens_[at_]; }
  [[nodiscard]] const Lexeme& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Lexeme& next() {
    const Lexeme& lexeme = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return lexeme;
  }
  [[nodiscard]] bool is(Token token) const { return current().token == token; }
  [[nodiscard]] bool is_op(std::string_view op) const { return is(Token::kOperator) && current().text == op; }
  [[nodiscard]] bool is_name(std::string_view name) const {
    return is(Token::kName) && current().text == name;
  }
  bool skip_op(std::string_view op) {
    if (!is_op(op)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!is_name(name)) return false;
    next();
    return true;
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) fail(fmt::format("expected '{}', got {}", op, describe(current())));
  }
  std::string expect_name() {
    if (!is(Token::kName)) fail(fmt::format("expected a name, got {}", describe(current())));
    return next().text;
  }
  void expect(Token token, std::string_view what) {
    if (!is(token)) fail(fmt::format("expected {}, got {}", what, describe(current())));
    next();
  }
  [[noreturn]] void fail(std::string message) const { throw Failure(std::move(message), current().at); }

  static std::string describe(const Lexeme& lexeme) {
    switch (lexeme.token) {
      case Token::kData: return "text";
      case Token::kBlockBegin: return "'{%'";
      case Token::kBlockEnd: return "'%}'";
      case Token::kVariableBegin: return "'{{'";
      case Token::kVariableEnd: return "'}}'";
      case Token::kString: return "a string";
      case Token::kEnd: return "the end of the template";
      default: return fmt::format("'{}'", lexeme.text.substr(0, 40));
    }
  }

  class Nested {
   public:
    explicit Nested(TokenStream& stream) : stream_(stream) {
      if (++stream_.depth_ > stream_.max_depth_) stream_.fail("the template is nested too deeply");
    }
    ~Nested() { --stream_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    TokenStream& stream_;
  };

 private:
  std::vector<Lexeme> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int max_depth_;
};

}  // namespace pegainfer::jinja
