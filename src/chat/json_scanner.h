// JsonScanner: knows where a JSON value ends in a text that arrives in pieces, and where it ceases to be one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pegainfer::chat {

enum class ScanStatus { kMore, kDone, kBroken };

struct Scanned {
  ScanStatus status = ScanStatus::kMore;
  size_t used = 0;  // bytes taken; kDone: the value ends there, kBroken: the byte after them cannot be
};

class JsonScanner {
 public:
  static constexpr size_t kMaxDepth = 128;

  // Goes on with the value. Its bytes are appended to `out` as they are, but for raw control characters in
  // strings, which are escaped: models write them, and JSON has no other place for them. Whitespace may come
  // before. A number is over at the first byte that is not its own, which is not taken.
  Scanned scan(std::string_view text, std::string& out);
  void reset();

 private:
  enum class State : unsigned char {
    kValue,
    kFirstValue,
    kFirstKey,
    kKey,
    kColon,
    kAfter,  // in between
    kString,
    kEscape,
    kHex,  // in a string
    kSign,
    kZero,
    kDigits,
    kPoint,
    kFraction,
    kExponent,
    kPower,
    kPowerDigits,  // in a number
    kWord,
  };
  enum class Taken { kYes, kNo, kEnded, kEndedBefore };
  Taken take(char c, std::string& out);
  Taken take_between(char c);
  Taken take_value(char c);
  Taken take_string(char c, std::string& out);
  Taken take_number(char c);
  Taken close(char open);
  Taken ended();  // a value is over: of the whole, or inside a container

  State state_ = State::kValue;
  bool string_is_key_ = false;
  int num_hex_ = 0;
  std::string_view word_;  // what is left of true, false, null
  std::string open_;       // of each container around: '{' or '['
};

// `text` is one JSON value with nothing but whitespace around it; it is appended to `out` as scan() does.
[[nodiscard]] bool scan_whole(std::string_view text, std::string& out);

}  // namespace pegainfer::chat
