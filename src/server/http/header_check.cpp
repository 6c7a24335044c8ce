#include "server/http/header_check.h"

#include <algorithm>
#include <charconv>

namespace pegainfer::http {
namespace {

constexpr size_t kMaxMethod = 32;
constexpr size_t kVersionLength = 8;  // "HTTP/1.1"
constexpr std::string_view kBadRequest = "bad_request";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_control(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u < 0x20 && c != '\t') || u == 0x7f;
}

Fault bad(std::string_view message) { return Fault{400, std::string(kBadRequest), std::string(message)}; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::optional<Fault> check_version(std::string_view version) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return std::nullopt;
  const bool looks_like_one = version.size() == kVersionLength && version.starts_with("HTTP/") &&
                              is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
  if (looks_like_one)
    return Fault{505, "http_version_not_supported", "this server speaks HTTP/1.1 and HTTP/1.0"};
  return bad("the request line must be: method, target, HTTP version");
}

std::optional<Fault> check_request_line(std::string_view line, const Limits& limits) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return bad("the request line must be: method, target, HTTP version");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (method.empty() || !std::ranges::all_of(method, is_token_char)) return bad("the method is malformed");
  if (target.size() > limits.max_uri)
    return Fault{414, "uri_too_long",
                 "the request target is longer than " + std::to_string(limits.max_uri) + " bytes"};
  if (target.empty()) return bad("the request target is empty");
  const auto is_visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!std::ranges::all_of(target, is_visible))
    return bad("the request target has a byte that must be escaped");
  return check_version(line.substr(second + 1));
}

// The headers that decide where the message ends and whom it is for.
class FramingRules {
 public:
  std::optional<Fault> add(std::string_view name, std::string_view value) {
    if (equals_ignoring_case(name, "host")) {
      if (++num_hosts_ > 1) return bad("more than one Host header");
    } else if (equals_ignoring_case(name, "content-length")) {
      return add_length(value);
    } else if (equals_ignoring_case(name, "transfer-encoding")) {
      if (framing.chunked || !equals_ignoring_case(value, "chunked"))
        return Fault{501, "unsupported_transfer_encoding",
                     "the only Transfer-Encoding understood is: chunked"};
      framing.chunked = true;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<Fault> finish(bool http11) const {
    if (framing.chunked && framing.content_length) return bad("both Content-Length and Transfer-Encoding");
    if (framing.chunked && !http11) return bad("Transfer-Encoding in an HTTP/1.0 request");
    if (http11 && num_hosts_ == 0) return bad("HTTP/1.1 requests need a Host header");
    return std::nullopt;
  }

  Framing framing;

 private:
  std::optional<Fault> add_length(std::string_view value) {
    if (framing.content_length) return bad("more than one Content-Length header");
    uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    const bool whole = !value.empty() && is_digit(value.front()) && error == std::errc{} &&
                       end == value.data() + value.size();
    if (!whole) return bad("Content-Length must be a decimal number of bytes");
    framing.content_length = length;
    return std::nullopt;
  }

  int num_hosts_ = 0;
};

}  // namespace

bool is_token_char(char c) {
  if (is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

HeaderScanner::State HeaderScanner::fail(int status, std::string_view code, std::string_view message) {
  fault_ = Fault{status, std::string(code), std::string(message)};
  return State::kFault;
}

HeaderScanner::State HeaderScanner::scan(std::string_view data) {
  if (fault_) return State::kFault;
  while (next_ < data.size()) {
    const State state = take(data[next_]);
    if (state == State::kFault) return state;
    ++next_;
    if (state == State::kComplete) return state;
  }
  return State::kNeedMore;
}

HeaderScanner::State HeaderScanner::take(char c) {
  const size_t length = next_ - line_start_;  // of the line so far, without this byte
  if (after_cr_) {
    if (c != '\n') return fail(400, kBadRequest, "a carriage return without a line feed in the headers");
    after_cr_ = false;
    return end_of_line(length - 1);
  }
  if (c == '\r') {
    after_cr_ = true;
    return State::kNeedMore;
  }
  if (c == '\n') return fail(400, kBadRequest, "a line feed without a carriage return in the headers");
  if (is_control(c)) return fail(400, kBadRequest, "a control character in the headers");
  if (num_lines_ == 0) {
    if (length == 0 && !is_token_char(c)) return fail(400, kBadRequest, "this is not an HTTP request");
    if (c == ' ') method_seen_ = true;
    if (!method_seen_ && length >= kMaxMethod) return fail(400, kBadRequest, "the method is too long");
  } else if (length == 0 && (c == ' ' || c == '\t')) {
    return fail(400, kBadRequest, "a folded header line");
  }
  return check_length(length + 1);
}

HeaderScanner::State HeaderScanner::check_length(size_t length) {
  if (num_lines_ == 0) {
    if (length > kMaxMethod + limits_.max_uri + kVersionLength + 2)
      return fail(414, "uri_too_long",
                  "the request target is longer than " + std::to_string(limits_.max_uri) + " bytes");
    return State::kNeedMore;
  }
  if (length > limits_.max_header_line)
    return fail(431, "headers_too_large",
                "a header line is longer than " + std::to_string(limits_.max_header_line) + " bytes");
  if (next_ + 1 - headers_start_ > limits_.max_header_bytes)
    return fail(431, "headers_too_large",
                "the headers are longer than " + std::to_string(limits_.max_header_bytes) + " bytes in all");
  return State::kNeedMore;
}

HeaderScanner::State HeaderScanner::end_of_line(size_t length) {
  const size_t after = next_ + 1;
  line_start_ = after;
  if (length == 0) {
    if (num_lines_ > 0) return State::kComplete;
    if (begin_ > 0) return fail(400, kBadRequest, "this is not an HTTP request");
    begin_ = after;  // one empty line before a request is forgiven, as RFC 9112 asks
    return State::kNeedMore;
  }
  if (num_lines_ == 0 && !method_seen_) return fail(400, kBadRequest, "this is not an HTTP request");
  if (num_lines_ == 0) headers_start_ = after;
  if (++num_lines_ - 1 > limits_.max_headers)
    return fail(431, "headers_too_large", "more than " + std::to_string(limits_.max_headers) + " headers");
  return State::kNeedMore;
}

HeaderVerdict check_header_block(std::string_view block, const Limits& limits) {
  constexpr std::string_view kEol = "\r\n";
  const size_t line_end = block.find(kEol);
  const std::string_view request_line = block.substr(0, line_end);
  if (auto fault = check_request_line(request_line, limits)) return {fault, {}};

  FramingRules rules;
  block.remove_prefix(line_end + kEol.size());
  while (!block.starts_with(kEol)) {
    const size_t end = block.find(kEol);
    const std::string_view line = block.substr(0, end);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0)
      return {bad("a header line without a name and a colon"), {}};
    const std::string_view name = line.substr(0, colon);
    if (!std::ranges::all_of(name, is_token_char))
      return {bad("a header name with a character that is not allowed"), {}};
    if (auto fault = rules.add(name, trim(line.substr(colon + 1)))) return {fault, {}};
    block.remove_prefix(end + kEol.size());
  }
  return {rules.finish(request_line.ends_with("1.1")), rules.framing};
}

}  // namespace pegainfer::http
