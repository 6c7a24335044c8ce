// Python's operators on values.
#pragma once

#include "chat/jinja/ast.h"
#include "chat/jinja/runtime.h"

namespace pegainfer::jinja {

Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right);
bool compare(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value negate(Runtime& runtime, const Value& value);
// a < b; fails where Python can not order them.
bool less(Runtime& runtime, const Value& left, const Value& right);
bool contains(Runtime& runtime, const Value& container, const Value& item);
Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop, const Value& step);

// "..." % values, and str.format.
Value percent_format(Runtime& runtime, const Text& format, const Value& values);
Value brace_format(Runtime& runtime, const Text& format, const Args& args);
// json.dumps.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool indented = false;
  TextPtr indent;  // of one level
  TextPtr item_separator, key_separator;
};
void append_json(Runtime& runtime, TextBuilder& out, const Value& value, const JsonStyle& style);
// As markupsafe.escape writes it.
void append_escaped(TextBuilder& out, const Text& text);

}  // namespace pegainfer::jinja
