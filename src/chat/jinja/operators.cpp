#include "chat/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pegainfer::jinja {
namespace {

constexpr std::string_view kSymbols[] = {
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
std::string_view symbol(Operator op) { return kSymbols[static_cast<size_t>(op)]; }

[[noreturn]] void fail_types(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  runtime.defined(left);
  runtime.defined(right);
  runtime.fail(fmt::format("unsupported operand types for {}: '{}' and '{}'", symbol(op), type_name(left),
                           type_name(right)));
}
[[noreturn]] void overflow(Runtime& runtime) { runtime.fail("an integer is too large"); }

int64_t floor_div(Runtime& runtime, int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) overflow(runtime);
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}
int64_t floor_mod(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
double float_mod(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r == 0 ? std::copysign(0.0, b) : r;
}

Value integer_power(Runtime& runtime, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) runtime.fail("0.0 cannot be raised to a negative power");
    return {std::pow(static_cast<double>(base), static_cast<double>(exponent))};
  }
  int64_t result = 1;
  for (int64_t factor = base; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, factor, &result)) overflow(runtime);
    if (exponent > 1 && __builtin_mul_overflow(factor, factor, &factor)) overflow(runtime);
  }
  return {result};
}

Value integers(Runtime& runtime, Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case Operator::kAdd: overflows = __builtin_add_overflow(a, b, &result); break;
    case Operator::kSub: overflows = __builtin_sub_overflow(a, b, &result); break;
    case Operator::kMul: overflows = __builtin_mul_overflow(a, b, &result); break;
    case Operator::kPow: return integer_power(runtime, a, b);
    default:
      if (b == 0) runtime.fail("division by zero");
      if (op == Operator::kDiv) return {static_cast<double>(a) / static_cast<double>(b)};
      result = op == Operator::kMod ? floor_mod(a, b) : floor_div(runtime, a, b);
  }
  if (overflows) overflow(runtime);
  return {result};
}

Value floats(Runtime& runtime, Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd: return {a + b};
    case Operator::kSub: return {a - b};
    case Operator::kMul: return {a * b};
    case Operator::kPow:
      if (a == 0 && b < 0) runtime.fail("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) runtime.fail("complex numbers are not supported");
      return {std::pow(a, b)};
    default: break;
  }
  if (b == 0) runtime.fail("float division by zero");
  if (op == Operator::kDiv) return {a / b};
  if (op == Operator::kMod) return {float_mod(a, b)};
  return {std::floor((a - float_mod(a, b)) / b + 0.5)};
}

Value add_strings(Runtime& runtime, const Text& a, const Text& b) {
  TextBuilder out;
  runtime.text(a.bytes.size() + b.bytes.size());
  out.reserve(a.bytes.size() + b.bytes.size());
  const bool markup = a.markup || b.markup;
  const auto append = [&](const Text& text) {
    markup && !text.markup ? append_escaped(out, text) : out.append(text);
  };
  append(a);
  append(b);
  return runtime.string(out, markup);
}

Value add_lists(Runtime& runtime, const List& a, const List& b) {
  std::vector<Value> items;
  runtime.values(a.items.size() + b.items.size());
  items.reserve(a.items.size() + b.items.size());
  items.insert(items.end(), a.items.begin(), a.items.end());
  items.insert(items.end(), b.items.begin(), b.items.end());
  return runtime.list(std::move(items), a.flavor);
}

bool is_sequence(const Value& value) {
  return value.is_string() || (value.is(Kind::kList) && (value.list().flavor == Flavor::kList ||
                                                         value.list().flavor == Flavor::kTuple));
}

Value repeat(Runtime& runtime, const Value& sequence, int64_t count) {
  const size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  const size_t one = sequence.is_string() ? sequence.bytes().size() : sequence.list().items.size();
  size_t total = 0;
  if (__builtin_mul_overflow(one, times, &total)) runtime.fail("a text of the template is too large");
  if (one == 0) return sequence;
  if (sequence.is_string()) {
    runtime.text(total);
    TextBuilder out;
    for (size_t i = 0; i < times; ++i) out.append(sequence.text());
    return runtime.string(out, sequence.text().markup);
  }
  runtime.values(total);
  std::vector<Value> items;
  items.reserve(total);
  const auto& from = sequence.list().items;
  for (size_t i = 0; i < times; ++i) items.insert(items.end(), from.begin(), from.end());
  return runtime.list(std::move(items), sequence.list().flavor);
}

bool less_lists(Runtime& runtime, const List& a, const List& b) {
  for (size_t i = 0; i < a.items.size() && i < b.items.size(); ++i) {
    runtime.step();
    if (!equal(a.items[i], b.items[i])) return less(runtime, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

// Python's bounds of a slice of `size` items.
struct Bounds {
  int64_t start, stop, step;
};
Bounds slice_bounds(Runtime& runtime, int64_t size, const Value& start, const Value& stop,
                    const Value& step) {
  const auto part = [&](const Value& value, int64_t otherwise) {
    runtime.defined(value);
    return value.is_none() ? otherwise : runtime.integer(value, "a slice's index");
  };
  Bounds b{0, 0, part(step, 1)};
  if (b.step == 0) runtime.fail("slice step cannot be zero");
  b.step = std::clamp<int64_t>(b.step, -(int64_t{1} << 40), int64_t{1} << 40);
  const int64_t low = b.step > 0 ? 0 : -1;
  const int64_t high = b.step > 0 ? size : size - 1;
  const auto bound = [&](const Value& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    int64_t i = part(value, 0);
    if (i < 0) i = i < -size ? low : i + size;
    return std::clamp(i, low, high);
  };
  b.start = bound(start, b.step > 0 ? low : high);
  b.stop = bound(stop, b.step > 0 ? high : low);
  return b;
}

}  // namespace

Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  if (left.is_int() && right.is_int()) return integers(runtime, op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return floats(runtime, op, left.number(), right.number());
  if (op == Operator::kAdd) {
    if (left.is_string() && right.is_string()) return add_strings(runtime, left.text(), right.text());
    if (is_sequence(left) && is_sequence(right) && left.kind() == right.kind() &&
        left.list().flavor == right.list().flavor) {
      return add_lists(runtime, left.list(), right.list());
    }
  } else if (op == Operator::kMul) {
    if (is_sequence(left) && right.is_int()) return repeat(runtime, left, right.integer());
    if (left.is_int() && is_sequence(right)) return repeat(runtime, right, left.integer());
  } else if (op == Operator::kMod && left.is_string()) {
    return percent_format(runtime, left.text(), right);
  }
  fail_types(runtime, op, left, right);
}

Value negate(Runtime& runtime, const Value& value) {
  runtime.defined(value);
  if (value.is(Kind::kFloat)) return {-value.number()};
  if (!value.is_int()) runtime.fail(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
  if (value.integer() == INT64_MIN) overflow(runtime);
  return {-value.integer()};
}

bool less(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_int() && right.is_int()) return left.integer() < right.integer();
  if (left.is_number() && right.is_number()) return left.number() < right.number();
  if (left.is_string() && right.is_string()) return left.bytes() < right.bytes();
  if (is_sequence(left) && is_sequence(right) && left.kind() == right.kind() &&
      left.list().flavor == right.list().flavor) {
    return less_lists(runtime, left.list(), right.list());
  }
  fail_types(runtime, Operator::kLt, left, right);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined: return false;
    case Kind::kString:
      runtime.defined(item);
      runtime.step(static_cast<int64_t>(container.bytes().size() >> 6));
      return container.bytes().find(runtime.string(item, "what is looked for in a string").bytes) !=
             std::string::npos;
    case Kind::kDict:
      if (!hashable(item)) runtime.fail(fmt::format("unhashable type: '{}'", type_name(item)));
      return container.dict().find(item) != nullptr;
    case Kind::kList: {
      const List& list = container.list();
      runtime.step(static_cast<int64_t>(list.items.size() >> 3));
      const auto first = list.items.begin() + static_cast<ptrdiff_t>(list.consumed);
      const auto found = std::find_if(first, list.items.end(), [&](const Value& value) {
        runtime.step();
        return equal(value, item);
      });
      const bool is_there = found != list.items.end();
      if (list.flavor == Flavor::kGenerator) {
        list.consumed = static_cast<size_t>(found - list.items.begin()) + (is_there ? 1 : 0);
      }
      return is_there;
    }
    default: runtime.fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
}

bool compare(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  switch (op) {
    case Operator::kEq: return equal(left, right);
    case Operator::kNe: return !equal(left, right);
    case Operator::kIn: return contains(runtime, right, left);
    case Operator::kNotIn: return !contains(runtime, right, left);
    default: break;
  }
  const bool orderable = (left.is_number() && right.is_number()) || (is_sequence(left) && is_sequence(right));
  if (!orderable) fail_types(runtime, op, left, right);
  if (left.is_number()) {  // NaN is neither less nor not
    const double a = left.number(), b = right.number();
    if (std::isnan(a) || std::isnan(b)) return false;
  }
  switch (op) {
    case Operator::kLt: return less(runtime, left, right);
    case Operator::kGt: return less(runtime, right, left);
    case Operator::kLe: return !less(runtime, right, left);
    default: return !less(runtime, left, right);
  }
}

Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop, const Value& step) {
  runtime.defined(value);
  if (value.is_string()) {
    const Text& text = value.text();
    const bool ascii = text.bytes.size() == length(text.bytes);
    const auto size = static_cast<int64_t>(length(text.bytes));
    const Bounds b = slice_bounds(runtime, size, start, stop, step);
    runtime.text(text.bytes.size());
    const auto offset = [&](int64_t i) {
      return ascii ? static_cast<size_t>(i) : offset_of(text.bytes, static_cast<size_t>(i));
    };
    if (b.step == 1) {
      const size_t begin = offset(b.start);
      return Value::string(slice_bytes(text, begin, std::max(begin, offset(std::max(b.start, b.stop)))));
    }
    std::vector<size_t> offsets;  // of every character, and the end
    for (size_t at = 0; at < text.bytes.size(); at += decode(std::string_view(text.bytes).substr(at)).size)
      offsets.push_back(at);
    offsets.push_back(text.bytes.size());
    TextBuilder out;
    for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) {
      if (static_cast<size_t>(i) + 1 >= offsets.size()) break;
      out.append(text, offsets[static_cast<size_t>(i)], offsets[static_cast<size_t>(i) + 1]);
    }
    return runtime.string(out, text.markup);
  }
  if (!value.is(Kind::kList) || value.list().flavor > Flavor::kRange) {
    runtime.fail(fmt::format("'{}' object can not be sliced", type_name(value)));
  }
  const List& list = value.list();
  const Bounds b = slice_bounds(runtime, static_cast<int64_t>(list.items.size()), start, stop, step);
  std::vector<Value> items;
  for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) {
    items.push_back(list.items[static_cast<size_t>(i)]);
  }
  if (list.flavor != Flavor::kRange) return runtime.list(std::move(items), list.flavor);
  runtime.values(items.size());
  auto range = std::make_shared<List>();
  range->items = std::move(items);
  range->flavor = Flavor::kRange;
  // Where these leave int64_t, Python has larger integers; they are only printed.
  const auto wrapped = [](int64_t a, int64_t x, int64_t y) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) +
                                static_cast<uint64_t>(x) * static_cast<uint64_t>(y));
  };
  range->range_start = wrapped(list.range_start, b.start, list.range_step);
  range->range_stop = wrapped(list.range_start, b.stop, list.range_step);
  range->range_step = wrapped(0, list.range_step, b.step);
  return {ListPtr(std::move(range))};
}

}  // namespace pegainfer::jinja
