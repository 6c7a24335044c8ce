// "%s" % values and "{}".format(values).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"

namespace pegainfer::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;

// How a value is to be written, in the words of both kinds of formats.
struct Spec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '='; 0: by type
  char sign = 0;   // '+', ' ' or 0
  bool alternate = false;
  bool zero = false;
  bool comma = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

std::string grouped(std::string digits) {
  for (auto at = static_cast<ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string integer_digits(int64_t value, char type, bool alternate) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  switch (type) {
    case 'x': return (alternate ? "0x" : "") + fmt::format("{:x}", magnitude);
    case 'X': return (alternate ? "0X" : "") + fmt::format("{:X}", magnitude);
    case 'o': return (alternate ? "0o" : "") + fmt::format("{:o}", magnitude);
    case 'b': return (alternate ? "0b" : "") + fmt::format("{:b}", magnitude);
    default: return std::to_string(magnitude);
  }
}

std::string float_digits(double value, const Spec& spec) {
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  const char type = spec.type == '%' ? 'f' : spec.type;
  const char format[] = {'%', '.', '*', type, '\0'};
  const double magnitude = std::fabs(spec.type == '%' ? value * 100 : value);
  if (std::isnan(magnitude) || std::isinf(magnitude)) return std::isnan(magnitude) ? "nan" : "inf";
  char buffer[512];
  const int size = std::snprintf(buffer, sizeof(buffer), format, std::min(precision, 100), magnitude);
  std::string digits(buffer, static_cast<size_t>(std::clamp(size, 0, static_cast<int>(sizeof(buffer)) - 1)));
  if (spec.comma) {
    const size_t point = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = grouped(digits.substr(0, point)) + digits.substr(point);
  }
  return spec.type == '%' ? digits + "%" : digits;
}

void pad(Runtime& runtime, TextBuilder& out, const Text& text, const Spec& spec, char align) {
  const auto size = static_cast<int64_t>(length(text.bytes));
  const int64_t missing = std::max<int64_t>(0, spec.width - size);
  runtime.check(out.size() + text.bytes.size() + static_cast<size_t>(missing) * spec.fill.size());
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  for (int64_t i = 0; i < left; ++i) out.trusted(spec.fill);
  out.append(text);
  for (int64_t i = left; i < missing; ++i) out.trusted(spec.fill);
}

void append_number(Runtime& runtime, TextBuilder& out, const Value& value, const Spec& spec) {
  const bool is_float =
      spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  bool negative = false;
  std::string digits;
  if (is_float) {
    negative = std::signbit(value.number());
    digits = float_digits(value.number(), spec);
  } else {
    negative = value.integer() < 0;
    digits = integer_digits(value.integer(), spec.type, spec.alternate);
    if (spec.comma) digits = grouped(digits);
  }
  const std::string sign = negative ? "-" : spec.sign != 0 ? std::string(1, spec.sign) : "";
  const char align = spec.align != 0 ? spec.align : spec.zero ? '=' : '>';
  if (align == '=') {
    const auto size = static_cast<int64_t>(sign.size() + digits.size());
    const std::string fill = spec.zero && spec.align == 0 ? "0" : spec.fill;
    std::string padding;
    for (int64_t i = size; i < spec.width; ++i) padding += fill;
    return out.trusted(sign + padding + digits);
  }
  pad(runtime, out, Text{sign + digits, {}, false}, spec, align);
}

void append_text(Runtime& runtime, TextBuilder& out, const Text& text, const Spec& spec, char default_align) {
  const size_t end =
      spec.precision < 0 ? text.bytes.size() : offset_of(text.bytes, static_cast<size_t>(spec.precision));
  pad(runtime, out, slice_bytes(text, 0, end), spec, spec.align != 0 ? spec.align : default_align);
}

class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const Text& format, const Value& values)
      : runtime_(runtime), format_(format), values_(values) {
    is_tuple_ = values.is(Kind::kList) && values.list().flavor == Flavor::kTuple;
  }

  Value run() {
    const std::string_view bytes = format_.bytes;
    while (at_ < bytes.size()) {
      const size_t percent = std::min(bytes.find('%', at_), bytes.size());
      out_.append(format_, at_, percent);
      at_ = percent;
      if (at_ < bytes.size()) {
        ++at_;
        directive();
      }
    }
    const bool all_used = is_tuple_ ? next_ >= values_.list().items.size() : next_ > 0;
    if (!all_used && !values_.is(Kind::kDict) &&
        !(values_.is(Kind::kList) &&
          (values_.list().flavor == Flavor::kList || values_.list().flavor == Flavor::kRange))) {
      runtime_.fail("not all arguments converted during string formatting");
    }
    return runtime_.string(out_, format_.markup);
  }

 private:
  char peek() {
    if (at_ >= format_.bytes.size()) runtime_.fail("incomplete format");
    return format_.bytes[at_];
  }
  const Value& next() {
    const size_t i = next_++;
    if (is_tuple_ ? i >= values_.list().items.size() : i > 0)
      runtime_.fail("not enough arguments for format string");
    return is_tuple_ ? values_.list().items[i] : values_;
  }
  int64_t size() {
    if (peek() == '*') {
      ++at_;
      const int64_t value = runtime_.integer(next(), "a format's width");
      return std::clamp<int64_t>(value, 0, kMaxWidth);
    }
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) value = std::min(value * 10 + (peek() - '0'), kMaxWidth);
    return value;
  }

  void directive() {
    const Value* value = nullptr;
    if (peek() == '(') {
      const size_t close = format_.bytes.find(')', at_);
      if (close == std::string::npos) runtime_.fail("incomplete format key");
      if (!values_.is(Kind::kDict)) runtime_.fail("format requires a mapping");
      value = values_.dict().get(std::string_view(format_.bytes).substr(at_ + 1, close - at_ - 1));
      if (value == nullptr) runtime_.fail("a key of the format is not in the mapping");
      at_ = close + 1;
    }
    Spec spec;
    for (bool flag = true; flag;) {
      switch (peek()) {
        case '-': spec.align = '<'; break;
        case '+': spec.sign = '+'; break;
        case ' ': spec.sign = spec.sign == 0 ? ' ' : spec.sign; break;
        case '0': spec.zero = true; break;
        case '#': spec.alternate = true; break;
        default: flag = false;
      }
      if (flag) ++at_;
    }
    spec.width = size();
    if (peek() == '.') {
      ++at_;
      spec.precision = size();
    }
    spec.type = peek();
    ++at_;
    if (spec.type == '%') return out_.trusted("%");
    convert(spec, value != nullptr ? *value : next());
  }

  void convert(Spec& spec, const Value& value) {
    if (spec.align == '<') spec.zero = false;
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        TextBuilder text;
        spec.type == 's' ? append_str(text, value) : append_repr(text, value);
        const Text plain = text.take();
        if (format_.markup && !(value.is_string() && value.text().markup)) append_escaped(text, plain);
        return append_text(runtime_, out_, format_.markup && text.size() > 0 ? text.take() : plain, spec,
                           '>');
      }
      case 'c': {
        if (value.is_int() && value.integer() >= 0 && value.integer() <= 0x10FFFF) {
          return append_text(runtime_, out_, *make_text(encode(static_cast<char32_t>(value.integer()))), spec,
                             '>');
        }
        if (!value.is_string() || length(value.bytes()) != 1) runtime_.fail("%c requires a single character");
        return append_text(runtime_, out_, value.text(), spec, '>');
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
        if (!value.is_int() && !(decimal && value.is(Kind::kFloat) && std::fabs(value.number()) < 9e18)) {
          runtime_.defined(value);
          runtime_.fail(fmt::format("%{} format: a number is required, not {}", spec.type, type_name(value)));
        }
        if (decimal) spec.type = 'd';
        const Value whole(value.is_int() ? value.integer() : static_cast<int64_t>(value.number()));
        return append_number(runtime_, out_, whole, spec);
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!value.is_number()) runtime_.fail(fmt::format("must be real number, not {}", type_name(value)));
        return append_number(runtime_, out_, value, spec);
      default: runtime_.fail("unsupported format character");
    }
  }

  Runtime& runtime_;
  const Text& format_;
  const Value& values_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t next_ = 0;
  bool is_tuple_ = false;
};

Spec parse_spec(Runtime& runtime, std::string_view text) {
  static constexpr std::string_view kAligns = "<>^=";
  Spec spec;
  size_t at = 0;
  const auto is = [&](std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos;
  };
  const auto number = [&] {
    int64_t value = 0;
    for (; is("0123456789"); ++at) value = std::min(value * 10 + (text[at] - '0'), kMaxWidth);
    return value;
  };
  if (!text.empty()) {
    const size_t size = decode(text).size;
    if (size < text.size() && kAligns.find(text[size]) != std::string_view::npos) {
      spec.fill = text.substr(0, size);
      spec.align = text[size];
      at = size + 1;
    } else if (is(kAligns)) {
      spec.align = text[at++];
    }
  }
  if (is("+- ")) spec.sign = text[at++];
  if (spec.sign == '-') spec.sign = 0;
  if (is("#")) spec.alternate = true, ++at;
  if (is("0")) spec.zero = true, ++at;
  spec.width = number();
  if (is(",")) spec.comma = true, ++at;
  if (is(".")) {
    ++at;
    if (!is("0123456789")) runtime.fail("a format misses its precision");
    spec.precision = number();
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) runtime.fail("invalid format specifier");
  return spec;
}

void append_formatted(Runtime& runtime, TextBuilder& out, const Value& value, std::string_view text) {
  Spec spec = parse_spec(runtime, text);
  if (value.is_number() && !(value.is(Kind::kBool) && text.empty())) {
    if (spec.type == 0 && value.is(Kind::kFloat) && spec.precision < 0) {
      return append_text(runtime, out, *make_text(float_repr(value.number())), spec, '>');
    }
    if (spec.type == 0) spec.type = value.is(Kind::kFloat) ? 'g' : 'd';
    if (spec.type == 'n') spec.type = value.is(Kind::kFloat) ? 'g' : 'd';
    if (std::string_view("dxXobeEfFgG%").find(spec.type) == std::string_view::npos ||
        (value.is(Kind::kFloat) && std::string_view("dxXob").find(spec.type) != std::string_view::npos)) {
      runtime.fail(fmt::format("unknown format code '{}' for '{}'", spec.type, type_name(value)));
    }
    return append_number(runtime, out, value, spec);
  }
  if (!value.is_string() && !text.empty()) {
    runtime.fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  }
  if (spec.type != 0 && spec.type != 's')
    runtime.fail(fmt::format("unknown format code '{}' for 'str'", spec.type));
  append_text(runtime, out, *runtime.str(value), spec, '<');
}

class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, const Text& format, const Args& args)
      : runtime_(runtime), format_(format), args_(args) {}

  Value run() {
    const std::string_view bytes = format_.bytes;
    while (at_ < bytes.size()) {
      const size_t brace = std::min(bytes.find_first_of("{}", at_), bytes.size());
      out_.append(format_, at_, brace);
      at_ = brace;
      if (at_ >= bytes.size()) break;
      if (at_ + 1 < bytes.size() && bytes[at_ + 1] == bytes[at_]) {
        out_.append(format_, at_, at_ + 1);
        at_ += 2;
      } else if (bytes[at_] == '}') {
        runtime_.fail("single '}' encountered in format string");
      } else {
        field();
      }
    }
    return runtime_.string(out_, format_.markup);
  }

 private:
  void field() {
    const std::string_view bytes = format_.bytes;
    const size_t close = bytes.find('}', at_);
    if (close == std::string_view::npos) runtime_.fail("expected '}' before end of string");
    const std::string_view inside = bytes.substr(at_ + 1, close - at_ - 1);
    if (inside.find('{') != std::string_view::npos)
      runtime_.fail("nested fields in a format are not supported");
    at_ = close + 1;
    const size_t colon = std::min(inside.find(':'), inside.size());
    std::string_view name = inside.substr(0, colon);
    char conversion = 0;
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.remove_suffix(2);
    }
    Value value = lookup(name);
    if (conversion == 'r' || conversion == 's' || conversion == 'a') {
      TextBuilder text;
      conversion == 's' ? append_str(text, value) : append_repr(text, value);
      value = runtime_.string(text);
    } else if (conversion != 0) {
      runtime_.fail("unknown conversion in a format");
    }
    append_formatted(runtime_, out_, value,
                     colon < inside.size() ? inside.substr(colon + 1) : std::string_view());
  }

  Value lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = argument(name.substr(0, end));
    for (size_t at = end; at < name.size();) {
      const bool item = name[at] == '[';
      const size_t stop = std::min(item ? name.find(']', at) : name.find_first_of(".[", at + 1), name.size());
      const std::string_view key = name.substr(at + 1, stop - at - 1);
      value = item ? get_item(runtime_, value, key_value(key))
                   : get_attribute(runtime_, value, std::make_shared<const std::string>(key));
      runtime_.defined(value);
      at = item ? stop + 1 : stop;
    }
    return value;
  }
  static bool digits(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  static Value key_value(std::string_view key) {
    return digits(key) ? Value(int64_t{std::stoll(std::string(key))}) : Value::string(key);
  }
  Value argument(std::string_view name) {
    if (name.empty() || digits(name)) {
      const size_t i = name.empty() ? next_++ : static_cast<size_t>(std::stoll(std::string(name)));
      if (i >= args_.positional.size()) runtime_.fail("replacement index out of range for positional args");
      return args_.positional[i];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    runtime_.fail(fmt::format("no argument '{}' for the format", name));
  }

  Runtime& runtime_;
  const Text& format_;
  const Args& args_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t next_ = 0;
};

}  // namespace

Value percent_format(Runtime& runtime, const Text& format, const Value& values) {
  return PercentFormat(runtime, format, values).run();
}

Value brace_format(Runtime& runtime, const Text& format, const Args& args) {
  return BraceFormat(runtime, format, args).run();
}

}  // namespace pegainfer::jinja
