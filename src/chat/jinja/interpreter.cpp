#include "chat/jinja/interpreter.h"

#include <fmt/format.h>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"

namespace pegainfer::jinja {
namespace {

// Sets a member for a scope.
template <class T>
class Swapped {
 public:
  Swapped(T& place, T value) : place_(place), old_(std::exchange(place, std::move(value))) {}
  ~Swapped() { place_ = std::move(old_); }
  Swapped(const Swapped&) = delete;
  Swapped& operator=(const Swapped&) = delete;

 private:
  T& place_;
  T old_;
};

}  // namespace

Interpreter::~Interpreter() {
  // Oldest first: none of them then holds a chain of others whose end would be a recursion.
  for (const FramePtr& frame : closures_) frame->variables.clear();
}

Text Interpreter::run(const std::vector<std::pair<std::string, Value>>& variables) {
  auto globals = std::make_shared<Frame>(nullptr);
  for (const auto& [symbol_name, symbol] : ast_.symbols) {
    Value global = find_global(symbol_name);
    if (!global.is_undefined()) globals->set(symbol, std::move(global));
  }
  frame_ = std::make_shared<Frame>(std::move(globals));
  for (const auto& [variable, value] : variables) {
    if (const int symbol = ast_.find(variable); symbol >= 0) frame_->set(symbol, value);
  }
  TextBuilder out;
  out_ = &out;
  run_body(ast_.body);
  out_ = nullptr;
  return out.take();
}

void Interpreter::write(const Value& value) {
  append_str(*out_, value);
  runtime_.check(out_->size());
}

Interpreter::Flow Interpreter::run_body(const Body& body) {
  for (const Stmt* stmt : body) {
    if (const Flow flow = run_statement(*stmt); flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& stmt) {
  const Nested nested(runtime_);
  runtime_.at = stmt.at;
  runtime_.step();
  switch (stmt.kind) {
    case StmtKind::kText: write(Value(stmt.text)); break;
    case StmtKind::kPrint: {
      const Value value = evaluate(*stmt.expr);
      runtime_.at = stmt.at;
      write(value);
      break;
    }
    case StmtKind::kIf: return run_if(stmt);
    case StmtKind::kFor: run_for(stmt); break;
    case StmtKind::kSet: assign(*stmt.target, evaluate(*stmt.expr)); break;
    case StmtKind::kSetBlock: run_set_block(stmt); break;
    case StmtKind::kMacro: frame_->set(stmt.symbol, make_macro(*stmt.macro)); break;
    case StmtKind::kCall: run_call(stmt); break;
    case StmtKind::kFilter: write(evaluate_captured(*stmt.expr, capture(stmt.body))); break;
    case StmtKind::kWith: run_with(stmt); break;
    case StmtKind::kScope: {
      const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(frame_));
      return run_body(stmt.body);
    }
    case StmtKind::kBreak: return Flow::kBreak;
    case StmtKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_if(const Stmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    if (truthy(evaluate(*condition))) return run_body(body);
  }
  return run_body(stmt.otherwise);
}

void Interpreter::run_for(const Stmt& stmt) { iterate(stmt, evaluate(*stmt.expr), 0); }

void Interpreter::iterate(const Stmt& stmt, const Value& iterable, int64_t depth0) {
  static const std::string kLoop = "loop";
  runtime_.at = stmt.at;
  const FramePtr outer = frame_;
  auto loop = std::make_shared<Loop>();
  loop->items = runtime_.iterate(iterable);
  loop->depth0 = depth0;
  if (stmt.test != nullptr) {
    loop->keep = [this, &stmt, outer](const Value& item) {
      const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(outer));
      assign(*stmt.target, item);
      return truthy(evaluate(*stmt.test));
    };
  }
  if (stmt.recursive) {
    loop->recurse = [this, &stmt, outer, depth0](const Value& inner) {
      TextBuilder out;
      const Swapped<FramePtr> scope(frame_, outer);
      const Swapped<TextBuilder*> target(out_, &out);
      iterate(stmt, inner, depth0 + 1);
      return runtime_.string(out);
    };
  }
  const int symbol = ast_.find(kLoop);
  // The functions hold frames that hold the loop.
  struct Release {
    Loop& loop;
    ~Release() {
      loop.keep = nullptr;
      loop.recurse = nullptr;
      loop.last_changed.clear();
      loop.ended = true;
    }
  } const release{*loop};
  while (loop->advance()) {
    const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(outer));
    runtime_.at = stmt.at;
    assign(*stmt.target, loop->current);
    if (symbol >= 0) frame_->set(symbol, Value(loop));
    if (run_body(stmt.body) == Flow::kBreak) return;
  }
  if (loop->index0 < 0 && !stmt.otherwise.empty()) {
    const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(outer));
    run_body(stmt.otherwise);
  }
}

TextPtr Interpreter::capture(const Body& body) {
  TextBuilder out;
  const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(frame_));
  const Swapped<TextBuilder*> target(out_, &out);
  run_body(body);
  runtime_.text(out.size());
  return make_text(out);
}

Value Interpreter::evaluate_captured(const Expr& expr, TextPtr text) {
  const Swapped<TextPtr> captured(captured_, std::move(text));
  return evaluate(expr);
}

void Interpreter::run_set_block(const Stmt& stmt) {
  assign(*stmt.target, evaluate_captured(*stmt.expr, capture(stmt.body)));
}

void Interpreter::run_call(const Stmt& stmt) {
  const Expr& expr = *stmt.expr;
  const Value callee = evaluate(*expr.items[0]);
  Args args = arguments(expr, nullptr);
  args.named.emplace_back("caller", make_macro(*stmt.macro));
  runtime_.at = expr.at;
  write(runtime_.call(callee, args));
}

void Interpreter::run_with(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& [target, expr] : stmt.assignments) values.push_back(evaluate(*expr));
  const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(frame_));
  for (size_t i = 0; i < values.size(); ++i) assign(*stmt.assignments[i].first, values[i]);
  run_body(stmt.body);
}

void Interpreter::assign(const Expr& target, const Value& value) {
  switch (target.kind) {
    case ExprKind::kName: return frame_->set(target.symbol, value);
    case ExprKind::kNamespaceTarget: {
      const Value holder = evaluate(*target.items[0]);
      runtime_.at = target.at;
      if (!holder.is(Kind::kNamespace)) runtime_.fail("cannot assign attribute on non-namespace object");
      if (target.name->starts_with('_')) {
        runtime_.fail("a namespace can not have attributes that begin with an underscore");
      }
      if (value.depth() + 1 > kMaxValueDepth) runtime_.fail("a value is nested too deeply");
      runtime_.values(2);
      return holder.ns().values.set(Value::string(*target.name), value);
    }
    default: break;
  }
  runtime_.at = target.at;
  if (value.is_undefined()) runtime_.fail_undefined(value);
  const std::vector<Value> items = runtime_.iterate(value);
  if (items.size() != target.items.size()) {
    runtime_.fail(fmt::format("{} values to unpack, expected {}", items.size(), target.items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i]);
}

Value Interpreter::make_macro(const MacroDefinition& macro) {
  runtime_.memory(256);
  closures_.push_back(frame_);
  auto made = std::make_shared<Callable>();
  made->name = macro.name;
  made->call = [this, &macro, closure = frame_](Runtime&, Args& args) {
    return call_macro(macro, closure, args);
  };
  return {std::shared_ptr<const Callable>(std::move(made))};
}

Value Interpreter::call_macro(const MacroDefinition& macro, const FramePtr& closure, Args& args) {
  if (runtime_.macro_depth >= runtime_.limits().macro_depth)
    runtime_.fail("macros call each other too deeply");
  const Swapped<int> depth(runtime_.macro_depth, runtime_.macro_depth + 1);
  const Swapped<FramePtr> scope(frame_, std::make_shared<Frame>(closure));
  bind_parameters(macro, args);
  TextBuilder out;
  const Swapped<TextBuilder*> target(out_, &out);
  run_body(macro.body);
  return runtime_.string(out);
}

void Interpreter::bind_parameters(const MacroDefinition& macro, Args& args) {
  const size_t count = macro.parameters.size();
  std::vector<const Value*> given(count);
  for (size_t i = 0; i < count && i < args.positional.size(); ++i) given[i] = &args.positional[i];
  Dict others;
  Value caller{Undefined{nullptr, "No caller defined"}};
  for (const auto& [key, value] : args.named) {
    size_t i = 0;
    while (i < count && *macro.parameter_names[i] != key) ++i;
    if (i < count) {
      if (given[i] != nullptr)
        runtime_.fail(fmt::format("macro '{}' got several values for '{}'", macro.name, key));
      given[i] = &value;
    } else if (key == "caller" && macro.uses_caller) {
      caller = value;
    } else if (macro.uses_kwargs) {
      others.set(Value::string(key), value);
    } else {
      runtime_.fail(fmt::format("macro '{}' takes no keyword argument '{}'", macro.name, key));
    }
  }
  if (args.positional.size() > count && !macro.uses_varargs) {
    runtime_.fail(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, count));
  }
  for (size_t i = 0; i < count; ++i) {
    Value value{Undefined{macro.parameter_names[i], nullptr}};
    const size_t without_default = count - macro.defaults.size();
    if (given[i] != nullptr) {
      value = *given[i];
    } else if (i >= without_default) {
      value = evaluate(*macro.defaults[i - without_default]);
    }
    frame_->set(macro.parameters[i], std::move(value));
  }
  const auto set_special = [&](const char* special, Value value) {
    if (const int symbol = ast_.find(special); symbol >= 0 && frame_->find(symbol) == nullptr)
      frame_->set(symbol, std::move(value));
  };
  if (macro.uses_caller) set_special("caller", caller);
  if (macro.uses_kwargs) set_special("kwargs", runtime_.dict(std::move(others)));
  if (macro.uses_varargs) {
    std::vector<Value> rest;
    for (size_t i = count; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
    set_special("varargs", runtime_.list(std::move(rest), Flavor::kTuple));
  }
}

}  // namespace pegainfer::jinja
