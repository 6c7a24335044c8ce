// Runs a syntax tree.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/ast.h"
#include "chat/jinja/loop.h"
#include "chat/jinja/runtime.h"

namespace pegainfer::jinja {

// Variables of one scope. The few that a scope has are looked through one by one.
struct Frame {
  explicit Frame(std::shared_ptr<Frame> outer) : parent(std::move(outer)) {}
  std::vector<std::pair<int, Value>> variables;
  std::shared_ptr<Frame> parent;

  [[nodiscard]] const Value* find(int symbol) const {
    for (const auto& [name, value] : variables) {
      if (name == symbol) return &value;
    }
    return nullptr;
  }
  void set(int symbol, Value value) {
    for (auto& [name, old] : variables) {
      if (name == symbol) {
        old = std::move(value);
        return;
      }
    }
    variables.emplace_back(symbol, std::move(value));
  }
};
using FramePtr = std::shared_ptr<Frame>;

class Interpreter {
 public:
  Interpreter(const Ast& ast, Runtime& runtime) : ast_(ast), runtime_(runtime) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Throws Failure.
  Text run(const std::vector<std::pair<std::string, Value>>& variables);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  Flow run_body(const Body& body);
  Flow run_statement(const Stmt& stmt);
  Flow run_if(const Stmt& stmt);
  void run_for(const Stmt& stmt);
  // The loop over `iterable`; the value of a recursive loop(...) is its text.
  void iterate(const Stmt& stmt, const Value& iterable, int64_t depth0);
  void run_set_block(const Stmt& stmt);
  void run_call(const Stmt& stmt);
  void run_with(const Stmt& stmt);
  TextPtr capture(const Body& body);
  Value evaluate_captured(const Expr& expr, TextPtr text);
  void assign(const Expr& target, const Value& value);
  Value make_macro(const MacroDefinition& macro);
  Value call_macro(const MacroDefinition& macro, const FramePtr& closure, Args& args);
  void bind_parameters(const MacroDefinition& macro, Args& args);

  Value evaluate(const Expr& expr);
  Value evaluate_node(const Expr& expr);
  Value name(const Expr& expr);
  Value compare_chain(const Expr& expr);
  Value concatenate(const Expr& expr);
  Value make_dict(const Expr& expr);
  Value call(const Expr& expr);
  Value filter(const Expr& expr);
  Args arguments(const Expr& expr, const Value* first);

  void write(const Value& value);

  const Ast& ast_;
  Runtime& runtime_;
  FramePtr frame_;
  TextBuilder* out_ = nullptr;
  TextPtr captured_;
  std::vector<FramePtr> closures_;  // frames that hold a macro that holds them
};

}  // namespace pegainfer::jinja
