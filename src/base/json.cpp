#include "base/json.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include "base/utf8.h"

namespace pegainfer::json {
namespace {

namespace bj = boost::json;
using ErrorCode = boost::system::error_code;

// A number's digits beyond this are an attack, not precision: the longest exact double takes 767.
constexpr size_t kMaxNumberLength = 1024;

// Builds the DOM as Boost's own parser does, and notes on the way what that one lets pass.
class Handler {
 public:
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_key_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_string_size = std::numeric_limits<size_t>::max();

  bool on_document_begin(ErrorCode& /*ec*/) {
    stack_.reset();
    return true;
  }
  bool on_document_end(ErrorCode& /*ec*/) { return true; }
  bool on_object_begin(ErrorCode& /*ec*/) { return true; }
  bool on_object_end(size_t n, ErrorCode& /*ec*/) {
    num_keys_ += n;
    stack_.push_object(n);
    return true;
  }
  bool on_array_begin(ErrorCode& /*ec*/) { return true; }
  bool on_array_end(size_t n, ErrorCode& /*ec*/) {
    stack_.push_array(n);
    return true;
  }
  bool on_key_part(bj::string_view s, size_t /*n*/, ErrorCode& /*ec*/) {
    stack_.push_chars(s);
    return true;
  }
  bool on_key(bj::string_view s, size_t /*n*/, ErrorCode& /*ec*/) {
    stack_.push_key(s);
    return true;
  }
  bool on_string_part(bj::string_view s, size_t /*n*/, ErrorCode& /*ec*/) {
    stack_.push_chars(s);
    return true;
  }
  bool on_string(bj::string_view s, size_t /*n*/, ErrorCode& /*ec*/) {
    stack_.push_string(s);
    return true;
  }
  bool on_number_part(bj::string_view s, ErrorCode& ec) { return add_digits(s, ec); }
  bool on_int64(int64_t v, bj::string_view s, ErrorCode& ec) {
    if (!add_digits(s, ec)) return false;
    number_.clear();
    stack_.push_int64(v);
    return true;
  }
  bool on_uint64(uint64_t v, bj::string_view s, ErrorCode& ec) {
    if (!add_digits(s, ec)) return false;
    number_.clear();
    stack_.push_uint64(v);
    return true;
  }
  bool on_double(double /*v*/, bj::string_view s, ErrorCode& ec) {
    if (!add_digits(s, ec)) return false;
    // Boost 1.81 rounds doubles only approximately; from_chars is exact.
    double exact = 0;
    const auto r = std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    const bool tiny = r.ec == std::errc::result_out_of_range && number_.find("e-") != std::string::npos;
    if (r.ec == std::errc::result_out_of_range && !tiny) {
      out_of_range_ = true;
      ec = bj::error::exponent_overflow;
      return false;
    }
    number_.clear();
    stack_.push_double(exact);
    return true;
  }
  bool on_bool(bool v, ErrorCode& /*ec*/) {
    stack_.push_bool(v);
    return true;
  }
  bool on_null(ErrorCode& /*ec*/) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_comment(bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }

  Value release() { return stack_.release(); }
  [[nodiscard]] size_t num_keys() const { return num_keys_; }
  [[nodiscard]] bool out_of_range() const { return out_of_range_; }

 private:
  bool add_digits(bj::string_view s, ErrorCode& ec) {
    for (const char c : s) number_ += c == 'E' ? 'e' : c;
    if (number_.size() <= kMaxNumberLength) return true;
    out_of_range_ = true;
    ec = bj::error::exponent_overflow;
    return false;
  }

  bj::value_stack stack_;
  std::string number_;
  size_t num_keys_ = 0;
  bool out_of_range_ = false;
};

size_t count_keys(const Value& value) {
  size_t n = 0;
  if (const Object* object = value.if_object()) {
    n += object->size();
    for (const auto& member : *object) n += count_keys(member.value());
  } else if (const Array* array = value.if_array()) {
    for (const Value& item : *array) n += count_keys(item);
  }
  return n;
}

// Only to name the key in the message: the text is known to be valid and to have a duplicate.
class DuplicateFinder {
 public:
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = max_object_size;
  static constexpr size_t max_key_size = max_object_size;
  static constexpr size_t max_string_size = max_object_size;

  bool on_document_begin(ErrorCode& /*ec*/) { return true; }
  bool on_document_end(ErrorCode& /*ec*/) { return true; }
  bool on_object_begin(ErrorCode& /*ec*/) {
    open_.emplace_back();
    return true;
  }
  bool on_object_end(size_t /*n*/, ErrorCode& /*ec*/) {
    open_.pop_back();
    return true;
  }
  bool on_array_begin(ErrorCode& /*ec*/) { return true; }
  bool on_array_end(size_t /*n*/, ErrorCode& /*ec*/) { return true; }
  bool on_key_part(bj::string_view s, size_t /*n*/, ErrorCode& /*ec*/) {
    key_.append(s.data(), s.size());
    return true;
  }
  bool on_key(bj::string_view s, size_t /*n*/, ErrorCode& ec) {
    key_.append(s.data(), s.size());
    if (!open_.back().insert(key_).second) {
      found = key_;
      ec = bj::error::not_found;
      return false;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(bj::string_view /*s*/, size_t /*n*/, ErrorCode& /*ec*/) { return true; }
  bool on_string(bj::string_view /*s*/, size_t /*n*/, ErrorCode& /*ec*/) { return true; }
  bool on_number_part(bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_int64(int64_t /*v*/, bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_uint64(uint64_t /*v*/, bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_double(double /*v*/, bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_bool(bool /*v*/, ErrorCode& /*ec*/) { return true; }
  bool on_null(ErrorCode& /*ec*/) { return true; }
  bool on_comment_part(bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }
  bool on_comment(bj::string_view /*s*/, ErrorCode& /*ec*/) { return true; }

  std::string found;

 private:
  std::vector<std::set<std::string>> open_;
  std::string key_;
};

std::string place(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const auto line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? offset + 1 : offset - newline;
  return fmt::format("line {}, column {}", line, column);
}

Error parse_error(std::string_view text, size_t offset, std::string_view what, std::string_view type) {
  return invalid_argument(fmt::format("invalid JSON at {}: {}", place(text, offset), what), {},
                          std::string(type));
}

Error expected(std::string_view key, std::string_view what, const Value* found) {
  if (found == nullptr)
    return invalid_argument(fmt::format("\"{}\" is missing, expected {}", key, what), std::string(key));
  return invalid_argument(fmt::format("\"{}\" is {}, expected {}", key, kind_name(*found), what),
                          std::string(key));
}

}  // namespace

Result<Value> parse(std::string_view text, const ParseLimits& limits) {
  if (const size_t bad = utf8::find_invalid(text); bad != std::string_view::npos) {
    return parse_error(text, bad, "the text is not valid UTF-8", "invalid_utf8");
  }
  bj::parse_options options;
  options.max_depth = limits.max_depth;
  bj::basic_parser<Handler> parser(options);
  ErrorCode ec;
  const size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec) {
    if (ec == bj::error::too_deep) {
      return parse_error(text, used, fmt::format("nested deeper than {}", limits.max_depth), "json_too_deep");
    }
    if (parser.handler().out_of_range() || ec == bj::error::exponent_overflow) {
      return parse_error(text, used, "a number is out of range", "out_of_range");
    }
    return parse_error(text, used, ec.message(), "invalid_json");
  }
  for (size_t i = used; i < text.size(); ++i) {
    if (std::string_view(" \t\r\n").find(text[i]) == std::string_view::npos) {
      return parse_error(text, i, "unexpected text after the value", "invalid_json");
    }
  }
  const size_t num_keys = parser.handler().num_keys();
  Value value = parser.handler().release();
  // The DOM keeps the last of equal keys, so a difference in number is a duplicate, and the common case costs
  // nothing.
  if (limits.reject_duplicate_keys && count_keys(value) != num_keys) {
    bj::basic_parser<DuplicateFinder> finder(options);
    ErrorCode stop;
    const size_t at = finder.write_some(false, text.data(), text.size(), stop);
    return parse_error(text, at, fmt::format("duplicate key {}", quote(finder.handler().found)),
                       "duplicate_key");
  }
  return value;
}

void append_string(std::string& out, std::string_view text) {
  static constexpr std::array<char, 16> kHex{'0', '1', '2', '3', '4', '5', '6', '7',
                                             '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  out += '"';
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    if (c >= 0x80) {
      const utf8::Sequence s = utf8::next(text);
      out += s.valid ? text.substr(0, s.length) : utf8::kReplacement;
      text.remove_prefix(s.length);
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          out += "\\u00";
          out += kHex.at(c >> 4);
          out += kHex.at(c & 15U);
        } else {
          out += static_cast<char>(c);
        }
    }
    text.remove_prefix(1);
  }
  out += '"';
}

std::string quote(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

namespace {

void append_value(std::string& out, const Value& value) {
  switch (value.kind()) {
    case bj::kind::string: append_string(out, value.get_string()); break;
    case bj::kind::array: {
      out += '[';
      bool first = true;
      for (const Value& item : value.get_array()) {
        if (!std::exchange(first, false)) out += ',';
        append_value(out, item);
      }
      out += ']';
      break;
    }
    case bj::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!std::exchange(first, false)) out += ',';
        append_string(out, member.key());
        out += ':';
        append_value(out, member.value());
      }
      out += '}';
      break;
    }
    case bj::kind::double_: {
      const double v = value.get_double();
      out += std::isfinite(v) ? fmt::format("{}", v) : "null";  // JSON has no infinities
      break;
    }
    case bj::kind::int64: out += fmt::format("{}", value.get_int64()); break;
    case bj::kind::uint64: out += fmt::format("{}", value.get_uint64()); break;
    case bj::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
    case bj::kind::null: out += "null"; break;
  }
}

}  // namespace

std::string dump(const Value& value) {
  std::string out;
  append_value(out, value);
  return out;
}

const Value* find(const Object& object, std::string_view key) {
  const auto* it = object.find(bj::string_view(key.data(), key.size()));
  return it == object.end() || it->value().is_null() ? nullptr : &it->value();
}

std::string_view kind_name(const Value& value) {
  switch (value.kind()) {
    case bj::kind::string: return "a string";
    case bj::kind::array: return "an array";
    case bj::kind::object: return "an object";
    case bj::kind::double_: return "a number";
    case bj::kind::int64:
    case bj::kind::uint64: return "an integer";
    case bj::kind::bool_: return "a boolean";
    case bj::kind::null: return "null";
  }
  return "?";
}

Result<int64_t> get_int(const Object& object, std::string_view key) {
  const Value* v = find(object, key);
  if (v != nullptr && v->is_int64()) return v->get_int64();
  if (v != nullptr && v->is_double()) {  // 1e6 and 32768.0 stand in real configuration files
    const double d = v->get_double();
    if (d == std::floor(d) && std::fabs(d) < 0x1p53) return static_cast<int64_t>(d);
  }
  return expected(key, "an integer", v);
}

Result<int64_t> get_int(const Object& object, std::string_view key, int64_t otherwise) {
  return find(object, key) == nullptr ? Result<int64_t>(otherwise) : get_int(object, key);
}

Result<double> get_number(const Object& object, std::string_view key) {
  const Value* v = find(object, key);
  if (v != nullptr && v->is_double()) return v->get_double();
  if (v != nullptr && v->is_int64()) return static_cast<double>(v->get_int64());
  if (v != nullptr && v->is_uint64()) return static_cast<double>(v->get_uint64());
  return expected(key, "a number", v);
}

Result<double> get_number(const Object& object, std::string_view key, double otherwise) {
  return find(object, key) == nullptr ? Result<double>(otherwise) : get_number(object, key);
}

Result<bool> get_bool(const Object& object, std::string_view key, bool otherwise) {
  const Value* v = find(object, key);
  if (v == nullptr) return otherwise;
  if (v->is_bool()) return v->get_bool();
  return expected(key, "true or false", v);
}

Result<std::string> get_string(const Object& object, std::string_view key) {
  const Value* v = find(object, key);
  if (v != nullptr && v->is_string()) return std::string(v->get_string());
  return expected(key, "a string", v);
}

Result<std::string> get_string(const Object& object, std::string_view key, std::string_view otherwise) {
  return find(object, key) == nullptr ? Result<std::string>(std::string(otherwise)) : get_string(object, key);
}

}  // namespace pegainfer::json
