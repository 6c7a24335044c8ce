#include "server/http/header_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pegainfer::http {
namespace {

using namespace std::string_literals;

// Scans `bytes` in two pieces, then checks the block; the status of the fault, 0 when there is none, -1 when
// more bytes are needed.
int verdict(const std::string& bytes, size_t split) {
  const Limits limits;
  HeaderScanner scanner(limits);
  auto state = scanner.scan(std::string_view(bytes).substr(0, split));
  if (state == HeaderScanner::State::kNeedMore) state = scanner.scan(bytes);
  if (state == HeaderScanner::State::kFault) return scanner.fault().status;
  if (state == HeaderScanner::State::kNeedMore) return -1;
  const std::string block = bytes.substr(scanner.begin(), scanner.end() - scanner.begin());
  const HeaderVerdict result = check_header_block(block, limits);
  return result.fault ? result.fault->status : 0;
}

struct Case {
  std::string name;
  std::string bytes;
  int status;
};

std::vector<Case> cases() {
  const std::string host = "Host: localhost\r\n";
  const std::string start = "POST / HTTP/1.1\r\n" + host;
  std::string many = start;
  for (int i = 0; i < 63; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
  std::string heavy = start;
  for (int i = 0; i < 3; ++i) heavy += "X-" + std::to_string(i) + ": " + std::string(6000, 'a') + "\r\n";
  return {
      {"plain", "GET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"http10_without_host", "GET / HTTP/1.0\r\n\r\n", 0},
      {"leading_empty_line", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"two_leading_empty_lines", "\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"incomplete", "GET / HTTP/1.1\r\n" + host, -1},
      {"bare_line_feed", "GET / HTTP/1.1\nHost: localhost\n\n", 400},
      {"bare_line_feed_in_headers", "GET / HTTP/1.1\r\nHost: localhost\nX: 1\r\n\r\n", 400},
      {"bare_carriage_return", "GET / HTTP/1.1\r\nHost: local\rhost\r\n\r\n", 400},
      {"nul", "GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n"s, 400},
      {"control", "GET / HTTP/1.1\r\n" + host + "X: a\x01\r\n\r\n", 400},
      {"folded", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", 400},
      {"folded_first", "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", 400},
      {"space_before_colon", "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
      {"no_colon", "GET / HTTP/1.1\r\n" + host + "nonsense\r\n\r\n", 400},
      {"empty_name", "GET / HTTP/1.1\r\n" + host + ": x\r\n\r\n", 400},
      {"value_with_high_bytes", "GET / HTTP/1.1\r\n" + host + "X: \xc3\xa9\r\n\r\n", 0},
      {"name_with_high_bytes", "GET / HTTP/1.1\r\n" + host + "X\xc3\xa9: 1\r\n\r\n", 400},
      {"tls_client_hello", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      {"another_protocol", "SSH-2.0-OpenSSH_9.2\r\n", 400},
      {"simple_request", "GET /\r\n\r\n", 400},
      {"two_spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"space_at_end", "GET / HTTP/1.1 \r\n" + host + "\r\n", 400},
      {"target_with_high_byte", "GET /\xc3\xa9 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"long_method", std::string(100, 'A') + " / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"bad_method", "G(T / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"http09", "GET / HTTP/0.9\r\n" + host + "\r\n", 505},
      {"http2", "PRI * HTTP/2.0\r\n\r\n", 505},
      {"http3", "GET / HTTP/3.0\r\n" + host + "\r\n", 505},
      {"http12", "GET / HTTP/1.2\r\n" + host + "\r\n", 505},
      {"http_lower_case", "GET / http/1.1\r\n" + host + "\r\n", 400},
      {"no_host", "GET / HTTP/1.1\r\nX: 1\r\n\r\n", 400},
      {"two_hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"length", start + "Content-Length: 5\r\n\r\n", 0},
      {"length_negative", start + "Content-Length: -1\r\n\r\n", 400},
      {"length_plus", start + "Content-Length: +1\r\n\r\n", 400},
      {"length_word", start + "Content-Length: abc\r\n\r\n", 400},
      {"length_empty", start + "Content-Length:\r\n\r\n", 400},
      {"length_list", start + "Content-Length: 5, 5\r\n\r\n", 400},
      {"length_hex", start + "Content-Length: 0x5\r\n\r\n", 400},
      {"length_2_64", start + "Content-Length: 18446744073709551616\r\n\r\n", 400},
      {"two_lengths", start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {"two_equal_lengths", start + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
      {"chunked", start + "Transfer-Encoding: chunked\r\n\r\n", 0},
      {"chunked_any_case", start + "transfer-encoding: Chunked\r\n\r\n", 0},
      {"length_and_chunked", start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunked_and_length", start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
      {"xchunked", start + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {"chunked_identity", start + "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
      {"gzip_chunked", start + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"chunked_twice", start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
      {"chunked_http10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"uri_at_limit", "GET /" + std::string(8191, 'a') + " HTTP/1.1\r\n" + host + "\r\n", 0},
      {"uri_over_limit", "GET /" + std::string(8192, 'a') + " HTTP/1.1\r\n" + host + "\r\n", 414},
      {"uri_without_end", "GET /" + std::string(20000, 'a'), 414},
      {"line_at_limit", start + "X: " + std::string(8189, 'a') + "\r\n\r\n", 0},
      {"line_over_limit", start + "X: " + std::string(8190, 'a') + "\r\n\r\n", 431},
      {"header_count_at_limit", many + "\r\n", 0},
      {"header_count_over_limit", many + "Last: 1\r\n\r\n", 431},
      {"headers_too_large_in_all", heavy + "\r\n", 431},
  };
}

TEST(HeaderCheck, VerdictOfEachCase) {
  for (const Case& c : cases()) EXPECT_EQ(verdict(c.bytes, c.bytes.size()), c.status) << c.name;
}

TEST(HeaderCheck, VerdictDoesNotDependOnHowTheBytesAreCut) {
  for (const Case& c : cases()) {
    const size_t step = c.bytes.size() > 1000 ? 61 : 1;
    for (size_t split = 0; split <= c.bytes.size(); split += step)
      ASSERT_EQ(verdict(c.bytes, split), c.status) << c.name << " cut at " << split;
  }
}

TEST(HeaderCheck, FramingIsReported) {
  const auto with_length =
      check_header_block("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n", Limits{});
  EXPECT_EQ(with_length.framing.content_length, 17U);
  EXPECT_FALSE(with_length.framing.chunked);
  const auto chunked =
      check_header_block("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Limits{});
  EXPECT_TRUE(chunked.framing.chunked);
}

}  // namespace
}  // namespace pegainfer::http
