// json.dumps as transformers' tojson calls it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chat/jinja/operators.h"

namespace pegainfer::jinja {
namespace {

void append_string(TextBuilder& out, const Text& text, bool ascii) {
  out.trusted("\"");
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    std::string escaped;
    escaped.reserve(run.size());
    for (size_t at = 0; at < run.size();) {
      const auto c = static_cast<unsigned char>(run[at]);
      size_t size = 1;
      switch (c) {
        case '"': escaped += "\\\""; break;
        case '\\': escaped += "\\\\"; break;
        case '\n': escaped += "\\n"; break;
        case '\r': escaped += "\\r"; break;
        case '\t': escaped += "\\t"; break;
        case '\b': escaped += "\\b"; break;
        case '\f': escaped += "\\f"; break;
        default:
          if (c < 0x20) {
            escaped += fmt::format("\\u{:04x}", c);
          } else if (c < 0x80 || !ascii) {
            escaped += run[at];
          } else {
            const CodePoint point = decode(run.substr(at));
            size = point.size;
            const auto value = static_cast<uint32_t>(point.value);
            if (value < 0x10000) {
              escaped += fmt::format("\\u{:04x}", value);
            } else {
              escaped += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((value - 0x10000) >> 10),
                                     0xDC00 + ((value - 0x10000) & 0x3FF));
            }
          }
      }
      at += size;
    }
    out.append(escaped, untrusted);
  });
  out.trusted("\"");
}

std::string float_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

class Writer {
 public:
  Writer(Runtime& runtime, TextBuilder& out, const JsonStyle& style)
      : runtime_(runtime), out_(out), style_(style) {}

  void value(const Value& v) {
    runtime_.step();
    runtime_.check(out_.size());
    switch (v.kind()) {
      case Kind::kNone: return out_.trusted("null");
      case Kind::kBool: return out_.trusted(v.boolean() ? "true" : "false");
      case Kind::kInt: return out_.trusted(std::to_string(v.integer()));
      case Kind::kBigInt: return out_.trusted(v.big_int());
      case Kind::kFloat: return out_.trusted(float_json(v.number()));
      case Kind::kString: return append_string(out_, v.text(), style_.ascii);
      case Kind::kDict: return dict(v.dict());
      case Kind::kList:
        if (v.list().flavor <= Flavor::kTuple) return list(v.list());
        [[fallthrough]];
      default:
        runtime_.fail(v.is_undefined() && v.undefined().name != nullptr
                          ? fmt::format("Undefined is not JSON serializable ({})", v.undefined().message())
                          : fmt::format("object of type {} is not JSON serializable", type_name(v)));
    }
  }

 private:
  void line(int level) {
    if (!style_.indented) return;
    out_.trusted("\n");
    for (int i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  void list(const List& list) {
    if (list.items.empty()) return out_.trusted("[]");
    out_.trusted("[");
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_.append(*style_.item_separator);
      line(level_);
      value(list.items[i]);
    }
    line(--level_);
    out_.trusted("]");
  }

  void key(const Value& key) {
    if (key.is_string()) return append_string(out_, key.text(), style_.ascii);
    if (!key.is_number() && !key.is_none() && !key.is(Kind::kBigInt)) {
      runtime_.fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
    out_.trusted("\"");
    value(key);
    out_.trusted("\"");
  }

  void dict(const Dict& dict) {
    if (dict.size() == 0) return out_.trusted("{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items()) items.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(),
                       [&](const auto* a, const auto* b) { return less(runtime_, a->first, b->first); });
    }
    out_.trusted("{");
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(*style_.item_separator);
      line(level_);
      key(items[i]->first);
      out_.append(*style_.key_separator);
      value(items[i]->second);
    }
    line(--level_);
    out_.trusted("}");
  }

  Runtime& runtime_;
  TextBuilder& out_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

void append_json(Runtime& runtime, TextBuilder& out, const Value& value, const JsonStyle& style) {
  Writer(runtime, out, style).value(value);
}

void append_escaped(TextBuilder& out, const Text& text) {
  for_each_run(text, [&](std::string_view run, bool untrusted) {
    std::string escaped;
    escaped.reserve(run.size());
    for (const char c : run) {
      switch (c) {
        case '&': escaped += "&amp;"; break;
        case '<': escaped += "&lt;"; break;
        case '>': escaped += "&gt;"; break;
        case '\'': escaped += "&#39;"; break;
        case '"': escaped += "&#34;"; break;
        default: escaped += c;
      }
    }
    out.append(escaped, untrusted);
  });
}

}  // namespace pegainfer::jinja
