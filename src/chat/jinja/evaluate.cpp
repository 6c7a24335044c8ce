// The expressions of the interpreter.
#include <fmt/format.h>

#include "chat/jinja/builtins.h"
#include "chat/jinja/interpreter.h"
#include "chat/jinja/operators.h"

namespace pegainfer::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  if (expr.kind == ExprKind::kConst) return expr.constant;
  if (expr.kind == ExprKind::kName) return name(expr);
  const Nested nested(runtime_);
  runtime_.step();
  return evaluate_node(expr);
}

Value Interpreter::name(const Expr& expr) {
  for (const Frame* frame = frame_.get(); frame != nullptr; frame = frame->parent.get()) {
    if (const Value* found = frame->find(expr.symbol)) return *found;
  }
  return {Undefined{expr.name, nullptr}};
}

Value Interpreter::evaluate_node(const Expr& expr) {
  const auto item = [&](size_t i) { return evaluate(*expr.items[i]); };
  const auto at = [&] { runtime_.at = expr.at; };
  switch (expr.kind) {
    case ExprKind::kConst: return expr.constant;
    case ExprKind::kName: return name(expr);
    case ExprKind::kTuple:
    case ExprKind::kList: {
      std::vector<Value> items;
      items.reserve(expr.items.size());
      for (const Expr* part : expr.items) items.push_back(evaluate(*part));
      return runtime_.list(std::move(items), expr.kind == ExprKind::kTuple ? Flavor::kTuple : Flavor::kList);
    }
    case ExprKind::kDict: return make_dict(expr);
    case ExprKind::kConcat: return concatenate(expr);
    case ExprKind::kAnd: {
      Value left = item(0);
      return truthy(left) ? item(1) : left;
    }
    case ExprKind::kOr: {
      Value left = item(0);
      return truthy(left) ? left : item(1);
    }
    case ExprKind::kNot: return {!truthy(item(0))};
    case ExprKind::kNeg: {
      const Value value = item(0);
      at();
      return negate(runtime_, value);
    }
    case ExprKind::kPos: {
      const Value value = item(0);
      at();
      return negate(runtime_, negate(runtime_, value));
    }
    case ExprKind::kBinary: {
      const Value left = item(0);
      const Value right = item(1);
      at();
      return binary(runtime_, expr.op, left, right);
    }
    case ExprKind::kCompare: return compare_chain(expr);
    case ExprKind::kConditional: {
      if (truthy(item(0))) return item(1);
      if (expr.items[2] != nullptr) return item(2);
      return {
          Undefined{nullptr, "the inline if-expression evaluated to false and no else section was defined"}};
    }
    case ExprKind::kAttribute: {
      const Value object = item(0);
      at();
      return get_attribute(runtime_, object, expr.name);
    }
    case ExprKind::kItem: {
      const Value object = item(0);
      const Value key = item(1);
      at();
      return get_item(runtime_, object, key);
    }
    case ExprKind::kSlice: {
      const Value object = item(0);
      const auto part = [&](size_t i) { return expr.items[i] != nullptr ? item(i) : Value(None{}); };
      const Value start = part(1), stop = part(2), step = part(3);
      at();
      return slice(runtime_, object, start, stop, step);
    }
    case ExprKind::kCall: return call(expr);
    case ExprKind::kFilter:
    case ExprKind::kTest: return filter(expr);
    case ExprKind::kCaptured: return {captured_};
    case ExprKind::kNamespaceTarget: break;
  }
  return {Undefined{}};
}

Value Interpreter::compare_chain(const Expr& expr) {
  Value left = evaluate(*expr.items[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = evaluate(*expr.items[i + 1]);
    runtime_.at = expr.at;
    if (!compare(runtime_, expr.ops[i], left, right)) return {false};
    left = std::move(right);
  }
  return {true};
}

Value Interpreter::concatenate(const Expr& expr) {
  TextBuilder out;
  for (const Expr* part : expr.items) {
    append_str(out, evaluate(*part));
    runtime_.at = expr.at;
    runtime_.check(out.size());
  }
  return runtime_.string(out);
}

Value Interpreter::make_dict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    Value key = evaluate(*expr.items[i]);
    if (!hashable(key)) runtime_.fail(fmt::format("unhashable type: '{}'", type_name(key)));
    dict.set(std::move(key), evaluate(*expr.items[i + 1]));
  }
  return runtime_.dict(std::move(dict));
}

Args Interpreter::arguments(const Expr& expr, const Value* first) {
  Args args;
  args.positional.reserve(expr.positional.size() + (first != nullptr ? 1 : 0));
  if (first != nullptr) args.positional.push_back(*first);
  for (const Expr* argument : expr.positional) args.positional.push_back(evaluate(*argument));
  for (const auto& [key, argument] : expr.named) args.named.emplace_back(key, evaluate(*argument));
  if (expr.star != nullptr) {
    for (Value& value : runtime_.iterate(evaluate(*expr.star))) args.positional.push_back(std::move(value));
  }
  if (expr.star_star != nullptr) {
    const Value more = evaluate(*expr.star_star);
    if (!more.is(Kind::kDict)) runtime_.fail("argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict().items()) {
      args.named.emplace_back(runtime_.string(key, "a keyword").bytes, value);
    }
  }
  return args;
}

Value Interpreter::call(const Expr& expr) {
  const Expr& target = *expr.items[0];
  if (target.kind == ExprKind::kAttribute) {  // a method, called without an object made of it
    const Value object = evaluate(*target.items[0]);
    bool forbidden = false;
    runtime_.at = target.at;
    if (const Function method = find_method(object, *target.name, &forbidden)) {
      Args args = arguments(expr, &object);
      runtime_.at = expr.at;
      return method(runtime_, args);
    }
    const Value callee = get_attribute(runtime_, object, target.name);
    Args args = arguments(expr, nullptr);
    runtime_.at = expr.at;
    return runtime_.call(callee, args);
  }
  const Value callee = evaluate(target);
  Args args = arguments(expr, nullptr);
  runtime_.at = expr.at;
  if (callee.is(Kind::kLoop)) {
    if (!callee.loop()->recurse)
      runtime_.fail("the loop must have the 'recursive' marker to be called recursively");
    if (args.positional.size() != 1) runtime_.fail("loop() takes one argument");
    return callee.loop()->recurse(args.positional[0]);
  }
  return runtime_.call(callee, args);
}

Value Interpreter::filter(const Expr& expr) {
  const Value value = evaluate(*expr.items[0]);
  Args args = arguments(expr, &value);
  runtime_.at = expr.at;
  if (expr.function == nullptr) {
    runtime_.fail(
        fmt::format("no {} named '{}'", expr.kind == ExprKind::kFilter ? "filter" : "test", *expr.name));
  }
  return expr.function(runtime_, args);
}

}  // namespace pegainfer::jinja
