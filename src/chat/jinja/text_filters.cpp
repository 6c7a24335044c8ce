// Jinja's filters that make text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/string_ops.h"

namespace pegainfer::jinja {
namespace {

// soft_str: a string stays what it is, also Markup.
TextPtr soft(Runtime& runtime, const Value& value) {
  return value.is_string() ? value.text_ptr() : runtime.str(value);
}

template <Text (*F)(const Text&)>
Value mapped(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "filter", {"s"}, 1);
  const TextPtr text = soft(runtime, bound[0]);
  runtime.text(text->bytes.size());
  return Value::string(F(*text));
}

// Jinja's own title: words begin after spaces, hyphens and opening brackets alone.
Text jinja_title(const Text& text) {
  TextBuilder out;
  const std::string_view bytes = text.bytes;
  const auto splits = [](const CodePoint& c) {
    return is_space(c.value) || (c.value < 0x80 && std::string_view("-({[<").find(
                                                       static_cast<char>(c.value)) != std::string_view::npos);
  };
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint first = decode(bytes.substr(at));
    if (splits(first)) {
      out.append(text, at, at + first.size);
      at += first.size;
      continue;
    }
    size_t end = at + first.size;
    while (end < bytes.size()) {
      const CodePoint c = decode(bytes.substr(end));
      if (splits(c)) break;
      end += c.size;
    }
    out.append(upper(slice_bytes(text, at, at + first.size)));
    out.append(lower(slice_bytes(text, at + first.size, end)));
    at = end;
  }
  return out.take();
}

Value trim(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "trim", {"value", "chars"}, 1);
  const TextPtr text = soft(runtime, bound[0]);
  runtime.text(text->bytes.size());
  return Value::string(
      strip(*text, bound.set(1) ? &runtime.string(bound[1], "trim's argument") : nullptr, Side::kBoth));
}

Value string_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "string", {"object"}, 1);
  return {soft(runtime, bound[0])};
}

Value safe(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "safe", {"value"}, 1);
  auto text = std::make_shared<Text>(*runtime.str(bound[0]));
  text->markup = true;
  return {TextPtr(std::move(text))};
}

Value escape_any(Runtime& runtime, const Value& value, bool force) {
  if (value.is_string() && value.text().markup && !force) return value;
  const TextPtr text = runtime.str(value);
  TextBuilder out;
  append_escaped(out, *text);
  return runtime.string(out, true);
}
Value escape(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "escape", {"s"}, 1);
  return escape_any(runtime, bound[0], false);
}
Value forceescape(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "forceescape", {"value"}, 1);
  return escape_any(runtime, bound[0], true);
}

Value replace_filter(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "replace", {"s", "old", "new", "count"}, 3);
  const int64_t count = bound.set(3) ? runtime.integer(bound[3], "count") : -1;
  return replace(runtime, *runtime.str(bound[0]), *runtime.str(bound[1]), *runtime.str(bound[2]), count);
}

Value indent(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "indent", {"s", "width", "first", "blank"}, 1);
  runtime.defined(bound[0]);
  const Text& text = runtime.string(bound[0], "what is indented");
  TextPtr with;
  if (bound.has(1) && bound[1].is_string()) {
    with = bound[1].text_ptr();
  } else {
    const int64_t width = bound.has(1) ? runtime.integer(bound[1], "indent's width") : 4;
    runtime.text(static_cast<size_t>(std::max<int64_t>(width, 0)));
    with = make_text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
  }
  const bool blank = bound.has(3) && truthy(bound[3]);
  TextBuilder whole;
  whole.append(text);
  whole.trusted("\n");
  TextBuilder out;
  if (bound.has(2) && truthy(bound[2])) out.append(*with);
  bool first = true;
  for (const Text& line : splitlines(whole.take(), false)) {
    if (!first) {
      out.trusted("\n");
      if (blank || !line.bytes.empty()) out.append(*with);
    }
    first = false;
    out.append(line);
    runtime.check(out.size());
  }
  return runtime.string(out, text.markup);
}

Value tojson(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "tojson", {"x", "ensure_ascii", "indent", "separators", "sort_keys"}, 1);
  JsonStyle style;
  style.ascii = bound.has(1) && truthy(bound[1]);
  style.sort_keys = bound.has(4) && truthy(bound[4]);
  style.indented = bound.set(2);
  if (style.indented && bound[2].is_string()) {
    if (bound[2].bytes().size() > 1024) runtime.fail("tojson's indent is too large");
    style.indent = bound[2].text_ptr();
  } else if (style.indented) {
    const int64_t width = runtime.integer(bound[2], "tojson's indent");
    if (width > 1024) runtime.fail("tojson's indent is too large");
    style.indent = make_text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
  }
  style.item_separator = make_text(style.indented ? "," : ", ");
  style.key_separator = make_text(": ");
  if (bound.set(3)) {
    const std::vector<Value> separators = runtime.iterate(bound[3]);
    if (separators.size() != 2) runtime.fail("tojson's separators are two strings");
    runtime.string(separators[0], "a separator");
    runtime.string(separators[1], "a separator");
    style.item_separator = separators[0].text_ptr();
    style.key_separator = separators[1].text_ptr();
  }
  TextBuilder out;
  append_json(runtime, out, bound[0], style);
  return runtime.string(out);
}

Value format_filter(Runtime& runtime, Args& args) {
  if (args.positional.empty()) runtime.fail("format() misses its value");
  const TextPtr format = soft(runtime, args.positional[0]);
  std::vector<Value> values(args.positional.begin() + 1, args.positional.end());
  if (!values.empty() && !args.named.empty()) {
    runtime.fail("can't handle positional and keyword arguments at the same time");
  }
  if (args.named.empty())
    return percent_format(runtime, *format, runtime.list(std::move(values), Flavor::kTuple));
  Dict dict;
  for (auto& [key, value] : args.named) dict.set(Value::string(key), value);
  return percent_format(runtime, *format, runtime.dict(std::move(dict)));
}

Value center(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "center", {"value", "width"}, 1);
  const int64_t width = bound.has(1) ? runtime.integer(bound[1], "center's width") : 80;
  return pad(runtime, *soft(runtime, bound[0]), width, nullptr, '^');
}

Value wordcount(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "wordcount", {"s"}, 1);
  const TextPtr text = soft(runtime, bound[0]);
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text->bytes.size();) {
    const CodePoint c = decode(std::string_view(text->bytes).substr(at));
    const bool word = is_word(c.value);
    words += word && !inside ? 1 : 0;
    inside = word;
    at += c.size;
  }
  return {words};
}

Value truncate(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "truncate", {"s", "length", "killwords", "end", "leeway"}, 1);
  if (bound[0].is_undefined() || bound[0].is(Kind::kDict) || bound[0].is(Kind::kList)) {
    // Jinja measures before it looks what it has: what is short enough stays what it is.
    const size_t size = bound[0].is(Kind::kDict)   ? bound[0].dict().size()
                        : bound[0].is(Kind::kList) ? bound[0].list().items.size()
                                                   : 0;
    if (size <= 5) return bound[0];
  }
  const Text& text = runtime.string(bound[0], "what is truncated");
  const int64_t limit = bound.has(1) ? runtime.integer(bound[1], "truncate's length") : 255;
  const TextPtr end = bound.has(3) ? std::make_shared<const Text>(runtime.string(bound[3], "truncate's end"))
                                   : make_text("...");
  const int64_t leeway = bound.set(4) ? runtime.integer(bound[4], "truncate's leeway") : 5;
  const auto end_length = static_cast<int64_t>(length(end->bytes));
  if (limit < end_length || leeway < 0)
    runtime.fail(fmt::format("expected length >= {}, got {}", end_length, limit));
  if (static_cast<int64_t>(length(text.bytes)) - leeway <= limit) return bound[0];
  Text head = slice_bytes(text, 0, offset_of(text.bytes, static_cast<size_t>(limit - end_length)));
  if (!bound.has(2) || !truthy(bound[2])) {
    const size_t space = head.bytes.rfind(' ');
    if (space != std::string::npos) head = slice_bytes(head, 0, space);
  }
  TextBuilder out;
  out.append(head);
  out.append(*end);
  return runtime.string(out);
}

void append_quoted(TextBuilder& out, const Text& text, bool for_query) {
  static constexpr std::string_view kKept = "_.-~";
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    std::string quoted;
    for (const char c : run) {
      const bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c > 0) ||
                         kKept.find(c) != std::string_view::npos || (c == '/' && !for_query);
      if (plain) {
        quoted += c;
      } else if (c == ' ' && for_query) {
        quoted += '+';
      } else {
        quoted += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    out.append(quoted, untrusted);
  });
}

Value urlencode(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "urlencode", {"value"}, 1);
  const Value& value = bound[0];
  TextBuilder out;
  if (!value.is(Kind::kDict) && !value.is(Kind::kList)) {
    append_quoted(out, *runtime.str(value), false);
    return runtime.string(out);
  }
  bool first = true;
  const auto pair = [&](const Value& key, const Value& item) {
    if (!first) out.trusted("&");
    first = false;
    append_quoted(out, *runtime.str(key), true);
    out.trusted("=");
    append_quoted(out, *runtime.str(item), true);
  };
  if (value.is(Kind::kDict)) {
    for (const auto& [key, item] : value.dict().items()) pair(key, item);
  } else {
    for (const Value& item : runtime.iterate(value)) {
      const std::vector<Value> two = runtime.iterate(item);
      if (two.size() != 2) runtime.fail("urlencode takes pairs");
      pair(two[0], two[1]);
    }
  }
  return runtime.string(out);
}

Value striptags(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "striptags", {"value"}, 1);
  const TextPtr text = runtime.str(bound[0]);
  TextBuilder kept;
  const std::string& bytes = text->bytes;
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t open = std::min(bytes.find('<', at), bytes.size());
    kept.append(*text, at, open);
    if (open == bytes.size()) break;
    const bool comment = bytes.compare(open, 4, "<!--") == 0;
    const size_t close = comment ? bytes.find("-->", open) : bytes.find('>', open);
    if (close == std::string::npos) {
      kept.append(*text, open, bytes.size());
      break;
    }
    at = close + (comment ? 3 : 1);
  }
  TextBuilder out;
  const Text whole = kept.take();
  for (const Text& word : split(whole, nullptr, -1, false)) {
    if (out.size() > 0) out.trusted(" ");
    out.append(word);
  }
  return runtime.string(out);
}

Value filesizeformat(Runtime& runtime, Args& args) {
  const Bound bound(runtime, args, "filesizeformat", {"value", "binary"}, 1);
  static constexpr std::string_view kLetters = "KMGTPEZY";
  if (!bound[0].is_number()) runtime.fail("filesizeformat takes a number");
  const bool binary = bound.has(1) && truthy(bound[1]);
  const double bytes = bound[0].number();
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(fmt::format("{:.0f} Bytes", std::trunc(bytes)));
  double unit = base;
  size_t i = 0;
  for (; i < kLetters.size(); ++i) {
    unit *= base;
    if (bytes < unit || i + 1 == kLetters.size()) break;
  }
  const char letter = !binary && i == 0 ? 'k' : kLetters[i];
  return Value::string(fmt::format("{:.1f} {}{}", base * bytes / unit, letter, binary ? "iB" : "B"));
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kFilters[] = {
    {"capitalize", mapped<capitalize>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"filesizeformat", filesizeformat},
    {"forceescape", forceescape},
    {"format", format_filter},
    {"indent", indent},
    {"lower", mapped<lower>},
    {"replace", replace_filter},
    {"safe", safe},
    {"string", string_filter},
    {"striptags", striptags},
    {"title", mapped<jinja_title>},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
};

}  // namespace

Function find_text_filter(std::string_view name) {
  for (const Entry& entry : kFilters) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

Function find_filter(std::string_view name) {
  if (const Function function = find_text_filter(name)) return function;
  if (const Function function = find_list_filter(name)) return function;
  return find_value_filter(name);
}

}  // namespace pegainfer::jinja
