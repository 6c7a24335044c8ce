// Python's methods of str.
#include <fmt/format.h>

#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/string_ops.h"

namespace pegainfer::jinja {
namespace {

const Text& self(const Args& args) { return args.positional[0].text(); }
// The method's own arguments.
Args rest(Args& args) {
  Args others;
  others.positional.assign(args.positional.begin() + 1, args.positional.end());
  others.named = args.named;
  return others;
}
void no_arguments(Runtime& runtime, const Args& args) {
  if (args.positional.size() > 1 || !args.named.empty()) runtime.fail("the method takes no arguments");
}

template <Text (*F)(const Text&)>
Value mapped(Runtime& runtime, Args& args) {
  no_arguments(runtime, args);
  runtime.text(self(args).bytes.size());
  return Value::string(F(self(args)));
}

template <Side kSide>
Value strip_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "strip", {"self", "chars"}, 1);
  const Text* chars = bound.set(1) ? &runtime.string(bound[1], "strip's argument") : nullptr;
  runtime.text(self(args).bytes.size());
  return Value::string(strip(self(args), chars, kSide));
}

template <bool kFromRight>
Value split_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "split", {"self", "sep", "maxsplit"}, 1);
  const int64_t most = bound.has(2) ? runtime.integer(bound[2], "maxsplit") : -1;
  const Text* separator = bound.set(1) ? &runtime.string(bound[1], "the separator") : nullptr;
  if (separator != nullptr && separator->bytes.empty()) runtime.fail("empty separator");
  runtime.text(self(args).bytes.size());
  std::vector<Value> items;
  for (Text& piece : split(self(args), separator, most, kFromRight))
    items.push_back(Value::string(std::move(piece)));
  return runtime.list(std::move(items));
}

Value splitlines_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "splitlines", {"self", "keepends"}, 1);
  std::vector<Value> items;
  runtime.text(self(args).bytes.size());
  for (Text& line : splitlines(self(args), bound.has(1) && truthy(bound[1])))
    items.push_back(Value::string(std::move(line)));
  return runtime.list(std::move(items));
}

// The part of `text` that start and stop, code points as of a slice, leave.
struct Window {
  size_t begin, end;
};
Window window(Runtime& runtime, const Bound& bound, size_t first, const Text& text) {
  const auto size = static_cast<int64_t>(length(text.bytes));
  const auto clamp = [&](size_t i, int64_t otherwise) {
    if (!bound.set(i)) return otherwise;
    const int64_t value = runtime.integer(bound[i], "a position");
    return value < 0 ? std::max<int64_t>(0, value < -size ? 0 : value + size) : std::min(value, size + 1);
  };
  const int64_t begin = clamp(first, 0);
  const int64_t end = std::min(clamp(first + 1, size), size);
  if (begin > end) return {std::string::npos, 0};  // nothing is in it, not even ""
  return {offset_of(text.bytes, static_cast<size_t>(begin)), offset_of(text.bytes, static_cast<size_t>(end))};
}

template <bool kEnd>
Value affix_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, kEnd ? "endswith" : "startswith", {"self", "affix", "start", "end"}, 2);
  const Window in = window(runtime, bound, 2, self(args));
  const std::string_view bytes = in.begin == std::string::npos
                                     ? std::string_view()
                                     : std::string_view(self(args).bytes).substr(in.begin, in.end - in.begin);
  const auto fits = [&](const Value& value) {
    runtime.defined(value);
    const std::string_view affix = runtime.string(value, "what a string starts or ends with").bytes;
    return in.begin != std::string::npos && (kEnd ? bytes.ends_with(affix) : bytes.starts_with(affix));
  };
  if (bound[1].is(Kind::kList) && bound[1].list().flavor == Flavor::kTuple) {
    const auto& items = bound[1].list().items;
    return {std::any_of(items.begin(), items.end(), fits)};
  }
  return {fits(bound[1])};
}

enum class Find : uint8_t { kFind, kRfind, kIndex, kRindex, kCount };
template <Find kWhat>
Value find_method_of_string(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "find", {"self", "sub", "start", "end"}, 2);
  runtime.defined(bound[1]);
  const std::string_view sub = runtime.string(bound[1], "what is looked for").bytes;
  const Text& text = self(args);
  const Window in = window(runtime, bound, 2, text);
  runtime.text(text.bytes.size());
  const bool none = in.begin == std::string::npos;
  const std::string_view bytes =
      none ? std::string_view() : std::string_view(text.bytes).substr(in.begin, in.end - in.begin);
  if constexpr (kWhat == Find::kCount) {
    if (none) return {int64_t{0}};
    if (sub.empty()) return {static_cast<int64_t>(length(bytes)) + 1};
    int64_t count = 0;
    for (size_t at = bytes.find(sub); at != std::string_view::npos; at = bytes.find(sub, at + sub.size()))
      ++count;
    return {count};
  }
  constexpr bool kRight = kWhat == Find::kRfind || kWhat == Find::kRindex;
  const size_t found = none ? std::string_view::npos : kRight ? bytes.rfind(sub) : bytes.find(sub);
  if (found != std::string_view::npos) {
    return {static_cast<int64_t>(length(std::string_view(text.bytes).substr(0, in.begin + found)))};
  }
  if constexpr (kWhat == Find::kIndex || kWhat == Find::kRindex) runtime.fail("substring not found");
  return {int64_t{-1}};
}

Value replace_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "replace", {"self", "old", "new", "count"}, 3);
  const int64_t count = bound.has(3) ? runtime.integer(bound[3], "count") : -1;
  runtime.defined(bound[1]);
  runtime.defined(bound[2]);
  return replace(runtime, self(args), runtime.string(bound[1], "what is replaced"),
                 runtime.string(bound[2], "the replacement"), count);
}

Value join_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "join", {"self", "iterable"}, 2);
  TextBuilder out;
  bool first = true;
  for (const Value& item : runtime.iterate(bound[1])) {
    if (!first) out.append(self(args));
    first = false;
    runtime.defined(item);
    out.append(runtime.string(item, "an item of join"));
    runtime.check(out.size());
  }
  return runtime.string(out, self(args).markup);
}

Value format_method(Runtime& runtime, Args& args) { return brace_format(runtime, self(args), rest(args)); }

template <bool kRight>
Value partition_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "partition", {"self", "sep"}, 2);
  const Text& text = self(args);
  const Text& separator = runtime.string(bound[1], "the separator");
  if (separator.bytes.empty()) runtime.fail("empty separator");
  const size_t found = kRight ? text.bytes.rfind(separator.bytes) : text.bytes.find(separator.bytes);
  runtime.text(text.bytes.size());
  std::vector<Value> parts;
  if (found == std::string::npos) {
    parts = {Value::string(text), Value::string(""), Value::string("")};
    if (kRight) std::swap(parts[0], parts[2]);
  } else {
    const size_t after = found + separator.bytes.size();
    parts = {Value::string(slice_bytes(text, 0, found)), Value::string(slice_bytes(text, found, after)),
             Value::string(slice_bytes(text, after, text.bytes.size()))};
  }
  return runtime.list(std::move(parts), Flavor::kTuple);
}

template <bool kSuffix>
Value remove_affix(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "removeprefix", {"self", "affix"}, 2);
  const Text& text = self(args);
  const std::string& affix = runtime.string(bound[1], "the affix").bytes;
  const bool fits = kSuffix ? text.bytes.ends_with(affix) : text.bytes.starts_with(affix);
  if (!fits) return args.positional[0];
  const size_t size = text.bytes.size();
  return Value::string(kSuffix ? slice_bytes(text, 0, size - affix.size())
                               : slice_bytes(text, affix.size(), size));
}

template <char kAlign>
Value pad_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "just", {"self", "width", "fillchar"}, 2);
  const Text* fill = bound.has(2) ? &runtime.string(bound[2], "the fill character") : nullptr;
  if (fill != nullptr && length(fill->bytes) != 1)
    runtime.fail("the fill character must be exactly one character long");
  return pad(runtime, self(args), runtime.integer(bound[1], "the width"), fill, kAlign);
}

Value zfill_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "zfill", {"self", "width"}, 2);
  const Text& text = self(args);
  const size_t sign = !text.bytes.empty() && (text.bytes[0] == '+' || text.bytes[0] == '-') ? 1 : 0;
  const int64_t missing = runtime.integer(bound[1], "the width") - static_cast<int64_t>(length(text.bytes));
  if (missing <= 0) return args.positional[0];
  runtime.text(text.bytes.size() + static_cast<size_t>(missing));
  TextBuilder out;
  out.append(text, 0, sign);
  out.trusted(std::string(static_cast<size_t>(missing), '0'));
  out.append(text, sign, text.bytes.size());
  return runtime.string(out, text.markup);
}

template <bool (*kIs)(char32_t), bool kEmpty = false>
Value all_are(Runtime& runtime, Args& args) {
  no_arguments(runtime, args);
  const std::string_view bytes = self(args).bytes;
  if (bytes.empty()) return {kEmpty};
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes.substr(at));
    if (!kIs(c.value)) return {false};
    at += c.size;
  }
  return {true};
}
bool is_alnum(char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }
bool is_ascii(char32_t c) { return c < 0x80; }

// islower, isupper: at least one cased character, and none of the other case.
template <bool (*kIs)(char32_t)>
Value case_is(Runtime& runtime, Args& args) {
  no_arguments(runtime, args);
  const std::string_view bytes = self(args).bytes;
  bool any = false;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes.substr(at));
    if (is_cased(c.value)) {
      if (!kIs(c.value)) return {false};
      any = true;
    }
    at += c.size;
  }
  return {any};
}

Value istitle_method(Runtime& runtime, Args& args) {
  no_arguments(runtime, args);
  const std::string_view bytes = self(args).bytes;
  bool any = false, after_cased = false;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes.substr(at));
    at += c.size;
    if (!is_cased(c.value)) {
      after_cased = false;
      continue;
    }
    if (is_lower(c.value) != after_cased) return {false};
    after_cased = any = true;
  }
  return {any};
}

Value isidentifier_method(Runtime& runtime, Args& args) {
  no_arguments(runtime, args);
  const std::string_view bytes = self(args).bytes;
  if (bytes.empty() || is_numeric(decode(bytes).value)) return {false};
  return all_are<is_word>(runtime, args);
}

Value expandtabs_method(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "expandtabs", {"self", "tabsize"}, 1);
  const int64_t size = bound.has(1) ? runtime.integer(bound[1], "tabsize") : 8;
  if (size > 1024) runtime.fail("tabsize is too large");
  runtime.text(self(args).bytes.size() * static_cast<size_t>(std::max<int64_t>(size, 1)));
  TextBuilder out;
  int64_t column = 0;
  for_each_run(self(args), [&](std::string_view run, bool untrusted) {
    for (size_t at = 0; at < run.size();) {
      const CodePoint c = decode(run.substr(at));
      if (c.value == '\t') {
        const int64_t spaces = size > 0 ? size - column % size : 0;
        out.append(std::string(static_cast<size_t>(spaces), ' '), untrusted);
        column += spaces;
      } else {
        out.append(run.substr(at, c.size), untrusted);
        column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
      }
      at += c.size;
    }
  });
  return runtime.string(out);
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kMethods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold", mapped<lower>},
    {"center", pad_method<'^'>},
    {"count", find_method_of_string<Find::kCount>},
    {"endswith", affix_method<true>},
    {"expandtabs", expandtabs_method},
    {"find", find_method_of_string<Find::kFind>},
    {"format", format_method},
    {"index", find_method_of_string<Find::kIndex>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", all_are<is_ascii, true>},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", isidentifier_method},
    {"islower", case_is<is_lower>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", all_are<is_printable, true>},
    {"isspace", all_are<is_space>},
    {"istitle", istitle_method},
    {"isupper", case_is<is_upper>},
    {"join", join_method},
    {"ljust", pad_method<'<'>},
    {"lower", mapped<lower>},
    {"lstrip", strip_method<Side::kLeft>},
    {"partition", partition_method<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace_method},
    {"rfind", find_method_of_string<Find::kRfind>},
    {"rindex", find_method_of_string<Find::kRindex>},
    {"rjust", pad_method<'>'>},
    {"rpartition", partition_method<true>},
    {"rsplit", split_method<true>},
    {"rstrip", strip_method<Side::kRight>},
    {"split", split_method<false>},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<false>},
    {"strip", strip_method<Side::kBoth>},
    {"swapcase", mapped<swapcase>},
    {"title", mapped<title>},
    {"upper", mapped<upper>},
    {"zfill", zfill_method},
};

}  // namespace

Function find_string_method(std::string_view name) {
  const auto* found =
      std::lower_bound(std::begin(kMethods), std::end(kMethods), name,
                       [](const Entry& entry, std::string_view key) { return entry.name < key; });
  return found != std::end(kMethods) && found->name == name ? found->function : nullptr;
}

}  // namespace pegainfer::jinja
