#include "chat/json_calls.h"

#include <algorithm>
#include <utility>

#include "base/json.h"

namespace pegainfer::chat {
namespace {

std::optional<std::string> decode_string(std::string_view raw) {
  const auto value = json::parse(raw);
  if (!value || !value->is_string()) return std::nullopt;
  const auto& text = value->get_string();
  return std::string(text.data(), text.size());
}

bool is_arguments(std::string_view key) { return key == "arguments" || key == "parameters"; }

}  // namespace

void JsonCalls::reset() {
  state_ = State::kOpen;
  in_array_ = false;
  begin_item();
}

void JsonCalls::begin_item() {
  committed_ = other_keys_ = false;
  id_.clear();
  name_.reset();
  arguments_.reset();
}

bool JsonCalls::is_tool(std::string_view name) const {
  return std::find(tool_names_.begin(), tool_names_.end(), name) != tool_names_.end();
}

JsonCalls::Step JsonCalls::to(State state, Step step) {
  state_ = state;
  return step;
}

ScanStatus JsonCalls::feed(std::string_view& text, MessageSink& sink) {
  while (!text.empty()) {
    if (state_ >= State::kKeyString) {
      if (value(text, sink) == ScanStatus::kBroken) return ScanStatus::kBroken;
      continue;
    }
    const Step step = is_space(text.front()) ? Step::kTaken : structure(text.front(), sink);
    if (step == Step::kBroken) return ScanStatus::kBroken;
    if (step == Step::kAgain) continue;
    if (step == Step::kTaken) sink.hold(text.substr(0, 1));
    text.remove_prefix(1);
    if (step == Step::kDone || step == Step::kClosed) sink.drop();
    if (step == Step::kDone) return ScanStatus::kDone;
  }
  return ScanStatus::kMore;
}

JsonCalls::Step JsonCalls::structure(char c, MessageSink& sink) {
  switch (state_) {
    case State::kOpen:
      if (c == '[') {
        in_array_ = true;
        return to(State::kItem, Step::kTaken);
      }
      [[fallthrough]];
    case State::kItem:
      if (c != '{') return Step::kBroken;
      begin_item();
      return to(State::kFirstKey, Step::kTaken);
    case State::kFirstKey:
      if (c == '}') return end_item(sink);
      [[fallthrough]];
    case State::kKey:
      if (c != '"') return Step::kBroken;
      scanner_.reset();
      raw_.clear();
      return to(State::kKeyString, Step::kAgain);
    case State::kColon: return c != ':' ? Step::kBroken : to(State::kValueBegin, Step::kTaken);
    case State::kValueBegin: return begin_value(c, sink);
    case State::kAfterValue:
      if (c == '}') return end_item(sink);
      return c != ',' ? Step::kBroken : to(State::kKey, Step::kTaken);
    default:  // kAfterItem
      if (c == ']') return Step::kDone;
      return c != ',' ? Step::kBroken : to(State::kItem, Step::kTaken);
  }
}

JsonCalls::Step JsonCalls::begin_value(char c, MessageSink& sink) {
  scanner_.reset();
  raw_.clear();
  if (committed_) return to(State::kSkipped, Step::kAgain);
  if (key_ == "name") return c != '"' ? Step::kBroken : to(State::kName, Step::kAgain);
  if (key_ == "id" && c == '"') return to(State::kId, Step::kAgain);
  if (!is_arguments(key_)) return to(State::kSkipped, Step::kAgain);
  if (c == '"') return to(State::kArgumentsString, Step::kAgain);
  if (c == 'n') return to(State::kHeldArguments, Step::kAgain);
  if (c != '{') return Step::kBroken;
  if (!name_) return to(State::kHeldArguments, Step::kAgain);
  sink.begin_call(*name_, id_);
  committed_ = true;
  return to(State::kArguments, Step::kAgain);
}

ScanStatus JsonCalls::value(std::string_view& text, MessageSink& sink) {
  const bool streamed = state_ == State::kArguments;
  if (streamed) raw_.clear();
  const Scanned scanned = scanner_.scan(text, raw_);
  if (streamed) {
    sink.arguments(raw_);
  } else {
    sink.hold(text.substr(0, scanned.used));
  }
  text.remove_prefix(scanned.used);
  if (scanned.status == ScanStatus::kDone && !end_value(sink)) return ScanStatus::kBroken;
  return scanned.status;
}

bool JsonCalls::end_value(MessageSink& sink) {
  const State ended = std::exchange(state_, State::kAfterValue);
  switch (ended) {
    case State::kKeyString: {
      auto key = decode_string(raw_);
      if (!key) return false;
      key_ = std::move(*key);
      state_ = State::kColon;
      const bool known = is_arguments(key_) || key_ == "name" || key_ == "id" || key_ == "type";
      other_keys_ |= !known;
      return known || committed_ || rules_.marked;
    }
    case State::kName:
      name_ = decode_string(raw_);
      if (!name_ || !is_tool(*name_)) return false;
      break;
    case State::kId: id_ = decode_string(raw_).value_or(""); break;
    case State::kHeldArguments: arguments_ = raw_ == "null" ? "{}" : raw_; break;
    case State::kArgumentsString: {
      // Arguments as a string that holds JSON, as the API itself has them.
      const auto text = decode_string(raw_);
      std::string object;
      if (!text || !scan_whole(*text, object)) return false;
      object.erase(0, object.find_first_not_of(kWhitespace));
      if (!object.starts_with('{')) return false;
      arguments_ = std::move(object);
      break;
    }
    default: break;
  }
  if (!committed_ && name_ && arguments_) {
    sink.begin_call(*name_, id_);
    sink.arguments(*arguments_);
    committed_ = true;
  }
  return true;
}

JsonCalls::Step JsonCalls::end_item(MessageSink& sink) {
  if (!committed_) {
    // Other keys may be misspelt arguments.
    if (!name_ || other_keys_ || !rules_.marked) return Step::kBroken;
    sink.begin_call(*name_, id_);
    sink.arguments("{}");
    committed_ = true;
  }
  return in_array_ ? to(State::kAfterItem, Step::kClosed) : Step::kDone;
}

}  // namespace pegainfer::chat
