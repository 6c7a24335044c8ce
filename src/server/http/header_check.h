// The strict reading of a request's header block, on its raw bytes and before any parser sees them. Parsers
// differ in what they forgive (bare LF, folded lines, two Content-Lengths), and each such difference is a way
// to smuggle a request past a proxy. So whatever is ambiguous is refused here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/options.h"

namespace pegainfer::http {

// A request that cannot be answered; the connection is closed after saying so.
struct Fault {
  int status = 400;
  std::string code;
  std::string message;
};

// Finds the end of the block as bytes arrive and refuses early what can never become one. The verdict does
// not depend on how the bytes were cut.
class HeaderScanner {
 public:
  explicit HeaderScanner(const Limits& limits) : limits_(limits) {}

  enum class State : uint8_t { kNeedMore, kComplete, kFault };
  // `data`: everything received of this request so far; goes on where the last call stopped.
  State scan(std::string_view data);

  [[nodiscard]] size_t begin() const { return begin_; }  // where the request line starts
  [[nodiscard]] size_t end() const { return next_; }     // one past the empty line that ends the block
  [[nodiscard]] const Fault& fault() const { return *fault_; }

 private:
  State fail(int status, std::string_view code, std::string_view message);
  State take(char c);
  State end_of_line(size_t length);
  State check_length(size_t length);

  Limits limits_;
  size_t begin_ = 0;
  size_t next_ = 0;        // of the first byte not yet looked at
  size_t line_start_ = 0;  // of the current line
  size_t num_lines_ = 0;   // complete ones
  size_t headers_start_ = 0;
  bool after_cr_ = false;
  bool method_seen_ = false;
  std::optional<Fault> fault_;
};

// What framing needs to know of a block that is well formed.
struct Framing {
  std::optional<uint64_t> content_length;
  bool chunked = false;
};

// The complete block: request line, header syntax, and the rules on Host, Content-Length and
// Transfer-Encoding.
struct HeaderVerdict {
  std::optional<Fault> fault;
  Framing framing;
};
HeaderVerdict check_header_block(std::string_view block, const Limits& limits);

[[nodiscard]] bool is_token_char(char c);
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace pegainfer::http
