// JsonCalls: calls written as JSON objects with name and arguments, one or an array of them, as they come.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/json_scanner.h"
#include "chat/message_sink.h"

namespace pegainfer::chat {

struct JsonCallRules {
  // A mark said that a call comes: then an object without arguments is a call of none, and keys that say
  // nothing here are skipped. Without a mark both make it an answer that happens to be JSON.
  bool marked = true;
};

class JsonCalls {
 public:
  JsonCalls(const JsonCallRules& rules, const std::vector<std::string>& tool_names)
      : rules_(rules), tool_names_(tool_names) {}

  void reset();
  // Takes from the front of `text`. A call begins at the sink once its name is known to be a tool's and its
  // arguments have begun; what comes before and after the arguments is held. kDone: all is given away.
  // kBroken: what is held is content, and so is `text`.
  ScanStatus feed(std::string_view& text, MessageSink& sink);
  // A call has begun, so what is held is structure and not content.
  [[nodiscard]] bool committed() const { return committed_; }

 private:
  enum class State {
    kOpen,
    kItem,
    kFirstKey,
    kKey,
    kColon,
    kValueBegin,
    kAfterValue,
    kAfterItem,  // one byte at a time
    kKeyString,
    kName,
    kId,
    kArguments,
    kHeldArguments,
    kArgumentsString,
    kSkipped,  // through the scanner
  };
  // kAgain: the byte is not taken, the state is another. kClosed: it and what is held were of the call.
  enum class Step { kTaken, kAgain, kClosed, kDone, kBroken };
  Step structure(char c, MessageSink& sink);
  Step begin_value(char c, MessageSink& sink);
  Step end_item(MessageSink& sink);
  ScanStatus value(std::string_view& text, MessageSink& sink);
  bool end_value(MessageSink& sink);  // false: the value is none that could be here
  void begin_item();
  Step to(State state, Step step);
  [[nodiscard]] bool is_tool(std::string_view name) const;

  const JsonCallRules rules_;
  const std::vector<std::string>& tool_names_;
  JsonScanner scanner_;
  State state_ = State::kOpen;
  bool in_array_ = false;
  bool committed_ = false;
  bool other_keys_ = false;  // that say nothing here
  std::string raw_;          // of the value that is scanned
  std::string key_, id_;
  std::optional<std::string> name_, arguments_;
};

}  // namespace pegainfer::chat
