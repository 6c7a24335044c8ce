#include "chat/json_scanner.h"

#include <fmt/format.h>

#include <iterator>

#include "chat/message_sink.h"

namespace pegainfer::chat {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

void JsonScanner::reset() {
  state_ = State::kValue;
  open_.clear();
}

JsonScanner::Taken JsonScanner::ended() {
  if (open_.empty()) return Taken::kEnded;
  state_ = State::kAfter;
  return Taken::kYes;
}

JsonScanner::Taken JsonScanner::close(char open) {
  if (open_.empty() || open_.back() != open) return Taken::kNo;
  open_.pop_back();
  return ended();
}

JsonScanner::Taken JsonScanner::take_value(char c) {
  if (c == '{' || c == '[') {
    if (open_.size() == kMaxDepth) return Taken::kNo;
    open_ += c;
    state_ = c == '{' ? State::kFirstKey : State::kFirstValue;
  } else if (c == '"') {
    string_is_key_ = false;
    state_ = State::kString;
  } else if (c == '-') {
    state_ = State::kSign;
  } else if (is_digit(c)) {
    state_ = c == '0' ? State::kZero : State::kDigits;
  } else if (c == 't' || c == 'f' || c == 'n') {
    word_ = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
    state_ = State::kWord;
  } else {
    return Taken::kNo;
  }
  return Taken::kYes;
}

JsonScanner::Taken JsonScanner::take_between(char c) {
  if (is_space(c)) return Taken::kYes;
  switch (state_) {
    case State::kFirstValue: return c == ']' ? close('[') : take_value(c);
    case State::kFirstKey:
      if (c == '}') return close('{');
      [[fallthrough]];
    case State::kKey:
      if (c != '"') return Taken::kNo;
      string_is_key_ = true;
      state_ = State::kString;
      return Taken::kYes;
    case State::kColon:
      if (c != ':') return Taken::kNo;
      state_ = State::kValue;
      return Taken::kYes;
    case State::kAfter:
      if (c == '}') return close('{');
      if (c == ']') return close('[');
      if (c != ',') return Taken::kNo;
      state_ = open_.back() == '{' ? State::kKey : State::kValue;
      return Taken::kYes;
    default: return take_value(c);
  }
}

JsonScanner::Taken JsonScanner::take_string(char c, std::string& out) {
  if (state_ == State::kString) {
    if (static_cast<unsigned char>(c) < 0x20) {
      switch (c) {
        case '\n': out += "\\n"; break;
        case '\t': out += "\\t"; break;
        case '\r': out += "\\r"; break;
        default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
      }
      return Taken::kYes;
    }
    out += c;
    if (c == '\\') state_ = State::kEscape;
    if (c != '"') return Taken::kYes;
    if (!string_is_key_) return ended();
    state_ = State::kColon;
    return Taken::kYes;
  }
  if (state_ == State::kEscape) {
    if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return Taken::kNo;
    state_ = c == 'u' ? State::kHex : State::kString;
    num_hex_ = 0;
  } else {
    if (!is_hex(c)) return Taken::kNo;
    if (++num_hex_ == 4) state_ = State::kString;
  }
  out += c;
  return Taken::kYes;
}

JsonScanner::Taken JsonScanner::take_number(char c) {
  const bool digit = is_digit(c);
  const bool exponent = c == 'e' || c == 'E';
  const auto to = [this](State state) {
    state_ = state;
    return Taken::kYes;
  };
  switch (state_) {
    case State::kSign: return !digit ? Taken::kNo : to(c == '0' ? State::kZero : State::kDigits);
    case State::kPoint: return !digit ? Taken::kNo : to(State::kFraction);
    case State::kExponent:
      if (c == '+' || c == '-') return to(State::kPower);
      [[fallthrough]];
    case State::kPower: return !digit ? Taken::kNo : to(State::kPowerDigits);
    case State::kDigits:
      if (digit) return Taken::kYes;
      [[fallthrough]];
    case State::kZero:
      if (c == '.') return to(State::kPoint);
      if (exponent) return to(State::kExponent);
      break;
    case State::kFraction:
      if (digit) return Taken::kYes;
      if (exponent) return to(State::kExponent);
      break;
    default:
      if (digit) return Taken::kYes;
  }
  if (open_.empty()) return Taken::kEndedBefore;
  state_ = State::kAfter;
  return take_between(c);
}

JsonScanner::Taken JsonScanner::take(char c, std::string& out) {
  if (state_ >= State::kString && state_ <= State::kHex) return take_string(c, out);
  Taken taken = Taken::kNo;
  if (state_ < State::kString) {
    taken = take_between(c);
  } else if (state_ < State::kWord) {
    taken = take_number(c);
  } else if (word_.front() == c) {
    word_.remove_prefix(1);
    taken = word_.empty() ? ended() : Taken::kYes;
  }
  if (taken == Taken::kYes || taken == Taken::kEnded) out += c;
  return taken;
}

Scanned JsonScanner::scan(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    switch (take(text[i], out)) {
      case Taken::kYes: break;
      case Taken::kNo: return {.status = ScanStatus::kBroken, .used = i};
      case Taken::kEnded: return {.status = ScanStatus::kDone, .used = i + 1};
      case Taken::kEndedBefore: return {.status = ScanStatus::kDone, .used = i};
    }
  }
  return {.status = ScanStatus::kMore, .used = text.size()};
}

bool scan_whole(std::string_view text, std::string& out) {
  const std::string padded = std::string(text) + '\n';  // ends a number
  JsonScanner scanner;
  const Scanned scanned = scanner.scan(padded, out);
  return scanned.status == ScanStatus::kDone &&
         padded.find_first_not_of(kWhitespace, scanned.used) == std::string::npos;
}

}  // namespace pegainfer::chat
