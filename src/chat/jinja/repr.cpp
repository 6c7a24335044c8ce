// Values as Python's str() and repr() write them.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "chat/jinja/value.h"

namespace pegainfer::jinja {

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  const size_t e = shortest.find('e');
  int exponent = 0;
  const char* digits = shortest.data() + e + 1 + (shortest[e + 1] == '+' ? 1 : 0);
  std::from_chars(digits, end, exponent);
  // Python's repr: an exponent below -4 and from 16 on.
  if (exponent < -4 || exponent >= 16) return std::string(shortest);
  const auto fixed_end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

namespace {

void append_string_repr(TextBuilder& out, const Text& text) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const bool has_double = text.bytes.find('"') != std::string::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  if (text.markup) out.trusted("Markup(");
  out.trusted({&quote, 1});
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    std::string escaped;
    escaped.reserve(run.size());
    for (size_t at = 0; at < run.size();) {
      const CodePoint c = decode(run.substr(at));
      if (c.value == static_cast<char32_t>(quote) || c.value == '\\') {
        escaped += '\\';
        escaped += static_cast<char>(c.value);
      } else if (c.value == '\n') {
        escaped += "\\n";
      } else if (c.value == '\r') {
        escaped += "\\r";
      } else if (c.value == '\t') {
        escaped += "\\t";
      } else if (is_printable(c.value)) {
        escaped.append(run.substr(at, c.size));
      } else if (c.value < 0x100) {
        escaped += fmt::format("\\x{:02x}", static_cast<uint32_t>(c.value));
      } else if (c.value < 0x10000) {
        escaped += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.value));
      } else {
        escaped += fmt::format("\\U{:08x}", static_cast<uint32_t>(c.value));
      }
      at += c.size;
    }
    out.append(escaped, untrusted);
  });
  out.trusted({&quote, 1});
  if (text.markup) out.trusted(")");
}

void append_items(TextBuilder& out, const List& list, std::string_view open, std::string_view close) {
  out.trusted(open);
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out.trusted(", ");
    append_repr(out, list.items[i]);
  }
  if (list.flavor == Flavor::kTuple && list.items.size() == 1) out.trusted(",");
  out.trusted(close);
}

void append_list(TextBuilder& out, const List& list) {
  switch (list.flavor) {
    case Flavor::kList: return append_items(out, list, "[", "]");
    case Flavor::kTuple: return append_items(out, list, "(", ")");
    case Flavor::kKeys: return append_items(out, list, "dict_keys([", "])");
    case Flavor::kValues: return append_items(out, list, "dict_values([", "])");
    case Flavor::kItems: return append_items(out, list, "dict_items([", "])");
    case Flavor::kRange:
      return out.trusted(
          list.range_step == 1
              ? fmt::format("range({}, {})", list.range_start, list.range_stop)
              : fmt::format("range({}, {}, {})", list.range_start, list.range_stop, list.range_step));
    case Flavor::kGenerator: return out.trusted("<generator object>");
  }
}

void append_dict(TextBuilder& out, const Dict& dict) {
  out.trusted("{");
  bool first = true;
  for (const auto& [key, value] : dict.items()) {
    if (!first) out.trusted(", ");
    first = false;
    append_repr(out, key);
    out.trusted(": ");
    append_repr(out, value);
  }
  out.trusted("}");
}

}  // namespace

void append_repr(TextBuilder& out, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return out.trusted("Undefined");
    case Kind::kNone: return out.trusted("None");
    case Kind::kBool: return out.trusted(value.boolean() ? "True" : "False");
    case Kind::kInt: return out.trusted(std::to_string(value.integer()));
    case Kind::kBigInt: return out.trusted(value.big_int());
    case Kind::kFloat: return out.trusted(float_repr(value.number()));
    case Kind::kString: return append_string_repr(out, value.text());
    case Kind::kList: return append_list(out, value.list());
    case Kind::kDict: return append_dict(out, value.dict());
    // A namespace can hold itself: its values are not shown.
    case Kind::kNamespace: return out.trusted("<Namespace>");
    case Kind::kCallable: return out.trusted(fmt::format("<function {}>", value.callable().name));
    case Kind::kLoop: return out.trusted("<LoopContext>");
  }
}

void append_str(TextBuilder& out, const Value& value) {
  if (value.is_string()) {
    out.append(value.text());
  } else if (!value.is_undefined()) {
    append_repr(out, value);
  }
}

TextPtr to_str(const Value& value) {
  if (value.is_string()) {
    if (!value.text().markup) return value.text_ptr();
    auto plain = std::make_shared<Text>(value.text());
    plain->markup = false;
    return plain;
  }
  TextBuilder out;
  append_str(out, value);
  return make_text(out);
}

}  // namespace pegainfer::jinja
