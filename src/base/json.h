// JSON in and out. Include this only in .cpp files: the DOM is Boost.JSON, a heavy header.
// The parser is stricter than RFC 8259 asks: duplicate keys, invalid UTF-8, lone surrogates, depth over
// `max_depth`, numbers that do not fit (1e400) and trailing data are errors, each with a stable
// `Error::type`.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pegainfer/result.h"

namespace pegainfer::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

struct ParseLimits {
  size_t max_depth = 64;
  bool reject_duplicate_keys = true;
};

// Error::type: "invalid_json", "invalid_utf8", "json_too_deep", "duplicate_key", "out_of_range".
// The message gives line and column.
Result<Value> parse(std::string_view text, const ParseLimits& limits);
inline Result<Value> parse(std::string_view text) { return parse(text, ParseLimits{}); }

// Appends `text` as a JSON string with its quotes. Broken UTF-8 becomes U+FFFD: it can never throw.
void append_string(std::string& out, std::string_view text);
std::string quote(std::string_view text);

// The value as text. Never throws, whatever bytes the strings hold.
std::string dump(const Value& value);

// Typed access for configuration files: errors name the key, what was found and what was expected.
// get_*: the key must be there. A second form with a default takes a missing key or null as the default.
Result<int64_t> get_int(const Object& object, std::string_view key);
Result<int64_t> get_int(const Object& object, std::string_view key, int64_t otherwise);
Result<double> get_number(const Object& object, std::string_view key);
Result<double> get_number(const Object& object, std::string_view key, double otherwise);
Result<bool> get_bool(const Object& object, std::string_view key, bool otherwise);
Result<std::string> get_string(const Object& object, std::string_view key);
Result<std::string> get_string(const Object& object, std::string_view key, std::string_view otherwise);
// Null pointer when missing or null.
const Value* find(const Object& object, std::string_view key);
// "a string", "an array", ... for messages.
std::string_view kind_name(const Value& value);

}  // namespace pegainfer::json
