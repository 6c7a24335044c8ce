// PythonValue: a literal of Python as it comes, written as JSON: strings in any quotes, numbers, True, False,
// None, lists, tuples and dicts with string keys.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "chat/json_scanner.h"

namespace pegainfer::chat {

class PythonValue {
 public:
  static constexpr size_t kMaxDepth = 128;

  // As JsonScanner::scan(): a number or word is over at the first byte that is not its own.
  Scanned scan(std::string_view text, std::string& out);
  // Bytes that were taken and have not led to anything in `out` yet: the part of a number, word or escape.
  [[nodiscard]] const std::string& pending() const { return pending_; }
  void reset();

 private:
  enum class State {
    kValue,
    kFirstValue,
    kFirstKey,
    kNextValue,
    kNextKey,
    kColon,
    kAfter,  // in between
    kQuote,
    kTwoQuotes,
    kString,
    kEscape,
    kHex,    // in a string
    kToken,  // in a number or word
  };
  enum class Taken { kYes, kNo, kAgain, kEnded, kEndedBefore };
  Taken take(char c, std::string& out);
  Taken take_between(char c, std::string& out);
  Taken take_value(char c, std::string& out);
  Taken take_string(char c, std::string& out);
  Taken take_escape(char c, std::string& out);
  Taken take_hex(char c, std::string& out);
  Taken end_token(std::string& out);
  Taken end_string(Taken taken, std::string& out);
  Taken close(char open, std::string& out);
  void separate(std::string& out);

  State state_ = State::kValue;
  std::string open_;  // of each container around: '[', '(' or '{'
  bool comma_ = false;
  bool key_ = false;
  char quote_ = 0;
  bool triple_ = false;
  size_t num_quotes_ = 0;  // at the end of a triple-quoted string so far
  size_t num_hex_ = 0;
  std::string pending_;
};

// `text` is one literal with nothing but whitespace around it.
[[nodiscard]] bool python_to_json(std::string_view text, std::string& out);

// Appends a byte of a string's content as JSON has it.
void append_json_byte(std::string& out, char c);

}  // namespace pegainfer::chat
