// What can follow `is`.
#include <fmt/format.h>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"

namespace pegainfer::jinja {
namespace {

template <bool (*kIs)(const Value&)>
Value kind_test(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "test", {"value"}, 1);
  return {kIs(bound[0])};
}
bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.boolean(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt) || v.is(Kind::kBigInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number() || v.is(Kind::kBigInt); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_callable(const Value& v) { return v.is(Kind::kCallable) || v.is_undefined() || v.is(Kind::kLoop); }
bool is_escaped(const Value& v) { return v.is_string() && v.text().markup; }
bool is_iterable(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is(Kind::kList) || v.is(Kind::kDict) || v.is(Kind::kLoop);
}
bool is_sequence(const Value& v) {
  if (v.is(Kind::kList)) return v.list().flavor <= Flavor::kRange;
  return v.is_undefined() || v.is_string() || v.is(Kind::kDict);
}

template <Operator kOp>
Value comparison(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "test", {"a", "b"}, 2);
  return {compare(runtime, kOp, bound[0], bound[1])};
}

Value divisible(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "divisibleby", {"value", "num"}, 2);
  return {equal(binary(runtime, Operator::kMod, bound[0], bound[1]), int64_t{0})};
}
template <int kRest>
Value parity(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "parity", {"value"}, 1);
  return {equal(binary(runtime, Operator::kMod, bound[0], int64_t{2}), int64_t{kRest})};
}

Value sameas(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "sameas", {"value", "other"}, 2);
  if (bound[0].kind() != bound[1].kind()) return {false};
  if (bound[0].address() != nullptr) return {bound[0].address() == bound[1].address()};
  return {equal(bound[0], bound[1])};
}

template <const char* kMethod>
Value case_test(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "test", {"value"}, 1);
  Args inner;
  inner.positional.push_back(Value(runtime.str(bound[0])));
  return find_string_method(kMethod)(runtime, inner);
}
constexpr char kIsLower[] = "islower";
constexpr char kIsUpper[] = "isupper";

Value filter_exists(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "filter", {"value"}, 1);
  return {bound[0].is_string() && find_filter(bound[0].bytes()) != nullptr};
}
Value test_exists(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "test", {"value"}, 1);
  return {bound[0].is_string() && find_test(bound[0].bytes()) != nullptr};
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kTests[] = {
    {"defined", kind_test<is_defined>},
    {"undefined", kind_test<is_undefined>},
    {"none", kind_test<is_none>},
    {"string", kind_test<is_string>},
    {"mapping", kind_test<is_mapping>},
    {"iterable", kind_test<is_iterable>},
    {"sequence", kind_test<is_sequence>},
    {"boolean", kind_test<is_boolean>},
    {"true", kind_test<is_true>},
    {"false", kind_test<is_false>},
    {"integer", kind_test<is_integer>},
    {"float", kind_test<is_float>},
    {"number", kind_test<is_number>},
    {"callable", kind_test<is_callable>},
    {"escaped", kind_test<is_escaped>},
    {"lower", case_test<kIsLower>},
    {"upper", case_test<kIsUpper>},
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible},
    {"sameas", sameas},
    {"filter", filter_exists},
    {"test", test_exists},
    {"in", comparison<Operator::kIn>},
    {"==", comparison<Operator::kEq>},
    {"eq", comparison<Operator::kEq>},
    {"equalto", comparison<Operator::kEq>},
    {"!=", comparison<Operator::kNe>},
    {"ne", comparison<Operator::kNe>},
    {">", comparison<Operator::kGt>},
    {"gt", comparison<Operator::kGt>},
    {"greaterthan", comparison<Operator::kGt>},
    {">=", comparison<Operator::kGe>},
    {"ge", comparison<Operator::kGe>},
    {"<", comparison<Operator::kLt>},
    {"lt", comparison<Operator::kLt>},
    {"lessthan", comparison<Operator::kLt>},
    {"<=", comparison<Operator::kLe>},
    {"le", comparison<Operator::kLe>},
};

}  // namespace

Function find_test(std::string_view name) {
  for (const Entry& entry : kTests) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace pegainfer::jinja
