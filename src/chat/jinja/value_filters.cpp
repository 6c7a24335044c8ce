// Jinja's filters over numbers and values of any kind.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/string_ops.h"

namespace pegainfer::jinja {
namespace {

Value default_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "default", {"value", "default_value", "boolean"}, 1);
  const bool boolean = bound.has(2) && truthy(bound[2]);
  if (!bound[0].is_undefined() && (!boolean || truthy(bound[0]))) return bound[0];
  return bound.has(1) ? bound[1] : Value::string("");
}

// int(text, base) and float(text): Python's, for ASCII digits.
std::string plain_number(std::string_view text) {
  const TextPtr whole = make_text(text);
  std::string out;
  const std::string stripped = strip(*whole, nullptr, Side::kBoth).bytes;
  for (size_t i = 0; i < stripped.size(); ++i) {
    const auto digit = [&](size_t at) {
      return at < stripped.size() && std::isalnum(static_cast<unsigned char>(stripped[at])) != 0;
    };
    if (stripped[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1)) continue;
    out += stripped[i];
  }
  return out;
}

std::optional<Value> parse_int(Runtime& runtime, std::string_view text, int64_t base) {
  std::string number = plain_number(text);
  if (!number.empty() && number[0] == '+') number.erase(0, 1);
  const size_t sign = !number.empty() && number[0] == '-' ? 1 : 0;
  const auto prefix = [&](char letter, int64_t of) {
    if (base != of && base != 0) return;
    if (number.size() > sign + 2 && number[sign] == '0' && (number[sign + 1] | 0x20) == letter) {
      number.erase(sign, 2);
      base = of;
    }
  };
  prefix('x', 16);
  prefix('o', 8);
  prefix('b', 2);
  if (base == 0) base = 10;
  if (base < 2 || base > 36) return std::nullopt;
  int64_t value = 0;
  const auto result =
      std::from_chars(number.data(), number.data() + number.size(), value, static_cast<int>(base));
  if (result.ec == std::errc::result_out_of_range) runtime.fail("an integer is too large");
  if (result.ec != std::errc() || result.ptr != number.data() + number.size()) return std::nullopt;
  return Value(value);
}

std::optional<double> parse_float(std::string_view text) {
  std::string number = plain_number(text);
  if (number.size() > 1 && number[0] == '+' && number[1] != '-') number.erase(0, 1);
  for (char& c : number) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (number.find('(') != std::string::npos) return std::nullopt;  // from_chars takes "nan(...)"
  double value = 0;
  const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
  if (result.ptr != number.data() + number.size() || number.empty()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const bool tiny = number.find("e-") != std::string::npos;
    return (number[0] == '-' ? -1.0 : 1.0) * (tiny ? 0.0 : HUGE_VAL);
  }
  return value;
}

std::optional<Value> truncated(Runtime& runtime, double value) {
  if (std::isnan(value) || std::isinf(value)) return std::nullopt;
  if (std::fabs(value) >= 9.2e18) runtime.fail("an integer is too large");
  return Value(static_cast<int64_t>(value));
}

Value int_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "int", {"value", "default", "base"}, 1);
  const Value otherwise = bound.get(1, int64_t{0});
  const Value& value = bound[0];
  runtime.defined(value);
  if (value.is_int()) return {value.integer()};
  if (value.is(Kind::kBigInt)) return value;
  std::optional<Value> made;
  if (value.is(Kind::kFloat)) {
    made = truncated(runtime, value.number());
  } else if (value.is_string()) {
    made = parse_int(runtime, value.bytes(), bound.has(2) ? runtime.integer(bound[2], "int's base") : 10);
    if (!made) {
      if (const auto number = parse_float(value.bytes())) made = truncated(runtime, *number);
    }
  }
  return made ? *made : otherwise;
}

Value float_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "float", {"value", "default"}, 1);
  runtime.defined(bound[0]);
  if (bound[0].is_number()) return {bound[0].number()};
  if (bound[0].is_string()) {
    if (const auto number = parse_float(bound[0].bytes())) return {*number};
  }
  return bound.get(1, 0.0);
}

Value abs_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "abs", {"x"}, 1);
  runtime.defined(bound[0]);
  if (bound[0].is(Kind::kFloat)) return {std::fabs(bound[0].number())};
  if (!bound[0].is_int()) runtime.fail(fmt::format("bad operand type for abs(): '{}'", type_name(bound[0])));
  return bound[0].integer() < 0 ? negate(runtime, bound[0]) : Value(bound[0].integer());
}

// round(value, precision): to the even neighbour of the decimal value, as Python does it by way of its text.
double round_half_even(double value, int precision) {
  if (!std::isfinite(value)) return value;
  if (precision >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, precision);
    double rounded = 0;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
  }
  const double unit = std::pow(10.0, -precision);
  return std::nearbyint(value / unit) * unit;
}

Value round_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "round", {"value", "precision", "method"}, 1);
  const int64_t precision = bound.has(1) ? runtime.integer(bound[1], "round's precision") : 0;
  const std::string method = bound.has(2) ? runtime.string(bound[2], "round's method").bytes : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    runtime.fail("method must be common, ceil or floor");
  runtime.defined(bound[0]);
  if (!bound[0].is_number())
    runtime.fail(fmt::format("type {} doesn't define __round__ method", type_name(bound[0])));
  if (precision > 300 || precision < -300) runtime.fail("round's precision is too large");
  const double value = bound[0].number();
  if (method != "common") {
    const double unit = std::pow(10.0, static_cast<double>(precision));
    const double whole = method == "ceil" ? std::ceil(value * unit) : std::floor(value * unit);
    return {whole / unit};
  }
  if (bound[0].is_int() && precision >= 0) return {bound[0].integer()};
  const double rounded = round_half_even(value, static_cast<int>(precision));
  if (!bound[0].is_int()) return {rounded};
  if (std::fabs(rounded) >= 9.2e18) runtime.fail("an integer is too large");
  return {static_cast<int64_t>(rounded)};
}

Value attr(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "attr", {"obj", "name"}, 2);
  // Attributes alone: no items of a dict.
  auto name = std::make_shared<const std::string>(runtime.string(bound[1], "attr's name").bytes);
  runtime.defined(bound[0]);
  Value found = get_attribute(runtime, bound[0], name);
  if (bound[0].is(Kind::kDict) && !found.is(Kind::kCallable)) return {Undefined{name, type_name(bound[0])}};
  return found;
}

Value pprint(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "pprint", {"value"}, 1);
  TextBuilder out;
  append_repr(out, bound[0]);
  return runtime.string(out);
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kFilters[] = {
    {"abs", abs_filter},     {"attr", attr},      {"d", default_filter}, {"default", default_filter},
    {"float", float_filter}, {"int", int_filter}, {"pprint", pprint},    {"round", round_filter},
};

}  // namespace

Function find_value_filter(std::string_view name) {
  for (const Entry& entry : kFilters) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace pegainfer::jinja
