#include "chat/python_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "chat/message_sink.h"

namespace pegainfer::chat {
namespace {

bool is_token_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         c == '+' || c == '-';
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

void append_unit(std::string& out, uint32_t unit) {
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
}

// As JSON; "": it is neither a number nor a word that Python or JSON knows.
std::string token_to_json(std::string_view token) {
  if (token == "True" || token == "true") return "true";
  if (token == "False" || token == "false") return "false";
  if (token == "None" || token == "null") return "null";
  std::string number;
  if (token.starts_with('+')) token.remove_prefix(1);
  if (token.starts_with('-')) {
    number = "-";
    token.remove_prefix(1);
  }
  if (token.starts_with('.')) number += '0';
  for (const char c : token) {
    if (c != '_') number += c;
  }
  if (number.ends_with('.')) number += '0';
  std::string out;
  const bool is_number = number.find_first_of("0123456789") <= 1;
  return is_number && scan_whole(number, out) ? out : "";
}

}  // namespace

void append_json_byte(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\t': out += "\\t"; break;
    case '\r': out += "\\r"; break;
    default:
      if (static_cast<unsigned char>(c) < 0x20) {
        append_unit(out, static_cast<unsigned char>(c));
      } else {
        out += c;
      }
  }
}

void PythonValue::reset() {
  state_ = State::kValue;
  open_.clear();
  pending_.clear();
  comma_ = key_ = false;
}

void PythonValue::separate(std::string& out) {
  if (comma_) out += ", ";
  comma_ = false;
}

PythonValue::Taken PythonValue::close(char open, std::string& out) {
  if (open_.empty() || open_.back() != open) return Taken::kNo;
  open_.pop_back();
  comma_ = false;
  out += open == '{' ? '}' : ']';
  state_ = State::kAfter;
  return open_.empty() ? Taken::kEnded : Taken::kYes;
}

PythonValue::Taken PythonValue::take_value(char c, std::string& out) {
  if (c == '[' || c == '(' || c == '{') {
    if (open_.size() == kMaxDepth) return Taken::kNo;
    separate(out);
    open_ += c;
    out += c == '{' ? '{' : '[';
    state_ = c == '{' ? State::kFirstKey : State::kFirstValue;
  } else if (c == '"' || c == '\'') {
    separate(out);
    out += '"';
    quote_ = c;
    key_ = triple_ = false;
    state_ = State::kQuote;
  } else if (is_token_byte(c)) {
    pending_ = c;
    state_ = State::kToken;
  } else {
    return Taken::kNo;
  }
  return Taken::kYes;
}

PythonValue::Taken PythonValue::take_between(char c, std::string& out) {
  if (is_space(c)) return Taken::kYes;
  switch (state_) {
    case State::kFirstValue:
    case State::kNextValue:
      if (c == ']') return close('[', out);
      if (c == ')') return close('(', out);
      return take_value(c, out);
    case State::kFirstKey:
    case State::kNextKey: {
      if (c == '}') return close('{', out);
      if (c != '"' && c != '\'') return Taken::kNo;
      const Taken taken = take_value(c, out);
      key_ = true;
      return taken;
    }
    case State::kColon:
      if (c != ':') return Taken::kNo;
      out += ": ";
      state_ = State::kValue;
      return Taken::kYes;
    case State::kAfter:
      if (c == ']') return close('[', out);
      if (c == ')') return close('(', out);
      if (c == '}') return close('{', out);
      if (c != ',') return Taken::kNo;
      comma_ = true;
      state_ = open_.back() == '{' ? State::kNextKey : State::kNextValue;
      return Taken::kYes;
    default: return take_value(c, out);
  }
}

PythonValue::Taken PythonValue::end_string(Taken taken, std::string& out) {
  out += '"';
  state_ = key_ ? State::kColon : State::kAfter;
  if (!open_.empty()) return taken;
  return taken == Taken::kAgain ? Taken::kEndedBefore : Taken::kEnded;
}

PythonValue::Taken PythonValue::take_string(char c, std::string& out) {
  if (state_ == State::kQuote) {  // one quote so far
    num_quotes_ = 0;
    state_ = c == quote_ ? State::kTwoQuotes : State::kString;
    return c == quote_ ? Taken::kYes : Taken::kAgain;
  }
  if (state_ == State::kTwoQuotes) {  // the empty string, or three of them
    if (c != quote_) return end_string(Taken::kAgain, out);
    triple_ = true;
    state_ = State::kString;
    return Taken::kYes;
  }
  if (c == quote_) {
    if (!triple_ || ++num_quotes_ == 3) return end_string(Taken::kYes, out);
    return Taken::kYes;
  }
  for (; num_quotes_ > 0; --num_quotes_) append_json_byte(out, quote_);
  if (c == '\\') {
    pending_ = c;
    state_ = State::kEscape;
  } else {
    append_json_byte(out, c);
  }
  return Taken::kYes;
}

PythonValue::Taken PythonValue::take_escape(char c, std::string& out) {
  if (c == 'x' || c == 'u' || c == 'U') {
    pending_ += c;
    num_hex_ = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    state_ = State::kHex;
    return Taken::kYes;
  }
  switch (c) {
    case 'n':
    case 't':
    case 'r':
    case 'b':
    case 'f': out += {'\\', c}; break;
    case '\\':
    case '"':
    case '\'': append_json_byte(out, c); break;
    case 'a': append_unit(out, 7); break;
    case 'v': append_unit(out, 11); break;
    case '0': append_unit(out, 0); break;
    case '\n': break;  // a line that goes on
    default: append_json_byte(out, '\\'); append_json_byte(out, c);
  }
  pending_.clear();
  state_ = State::kString;
  return Taken::kYes;
}

PythonValue::Taken PythonValue::take_hex(char c, std::string& out) {
  if (!is_hex(c)) return Taken::kNo;
  pending_ += c;
  if (pending_.size() < num_hex_ + 2) return Taken::kYes;
  const auto code = static_cast<uint32_t>(std::stoul(pending_.substr(2), nullptr, 16));
  if (code > 0x10FFFF) return Taken::kNo;
  if (code > 0xFFFF) {
    append_unit(out, 0xD800 + ((code - 0x10000) >> 10));
    append_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
  } else {
    append_unit(out, code);
  }
  pending_.clear();
  state_ = State::kString;
  return Taken::kYes;
}

PythonValue::Taken PythonValue::end_token(std::string& out) {
  const std::string value = token_to_json(pending_);
  if (value.empty()) return Taken::kNo;
  pending_.clear();
  separate(out);
  out += value;
  state_ = State::kAfter;
  return open_.empty() ? Taken::kEndedBefore : Taken::kAgain;
}

PythonValue::Taken PythonValue::take(char c, std::string& out) {
  switch (state_) {
    case State::kQuote:
    case State::kTwoQuotes:
    case State::kString: return take_string(c, out);
    case State::kEscape: return take_escape(c, out);
    case State::kHex: return take_hex(c, out);
    case State::kToken:
      if (!is_token_byte(c)) return end_token(out);
      pending_ += c;
      return Taken::kYes;
    default: return take_between(c, out);
  }
}

Scanned PythonValue::scan(std::string_view text, std::string& out) {
  size_t i = 0;
  while (i < text.size()) {
    switch (take(text[i], out)) {
      case Taken::kYes: ++i; break;
      case Taken::kAgain: break;
      case Taken::kNo: return {.status = ScanStatus::kBroken, .used = i};
      case Taken::kEnded: return {.status = ScanStatus::kDone, .used = i + 1};
      case Taken::kEndedBefore: return {.status = ScanStatus::kDone, .used = i};
    }
  }
  return {.status = ScanStatus::kMore, .used = text.size()};
}

bool python_to_json(std::string_view text, std::string& out) {
  const std::string padded = std::string(text) + '\n';  // ends a number or word
  PythonValue value;
  const Scanned scanned = value.scan(padded, out);
  return scanned.status == ScanStatus::kDone &&
         padded.find_first_not_of(kWhitespace, scanned.used) == std::string::npos;
}

}  // namespace pegainfer::chat
