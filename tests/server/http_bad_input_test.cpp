// Raw bytes over a real socket: framing, limits and routing. After each case the server must answer the next
// request as if nothing had happened.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/http_client.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

constexpr std::chrono::milliseconds kSoon{5'000};

struct RawCase {
  std::string name;
  std::string bytes;
  int status;
  std::string code;
  bool closes = true;
};

std::string completions(std::string_view headers, std::string_view body = {}) {
  return "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) + "\r\n" +
         std::string(body);
}

const std::string kJson = "Content-Type: application/json\r\n";
const std::string kChunked = kJson + "Transfer-Encoding: chunked\r\n";

std::vector<RawCase> framing_cases() {
  std::string many;
  for (int i = 0; i < 65; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
  const std::string body = R"({"prompt":"hi"})";
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return {
      {"15_too_large", completions(kJson + "Content-Length: 8388609\r\n"), 413, "request_too_large"},
      {"20_negative", completions(kJson + "Content-Length: -1\r\n"), 400, "bad_request"},
      {"20_word", completions(kJson + "Content-Length: abc\r\n"), 400, "bad_request"},
      {"20_2_64", completions(kJson + "Content-Length: 18446744073709551616\r\n"), 400, "bad_request"},
      {"20_two", completions(kJson + length + "Content-Length: 3\r\n", body), 400, "bad_request"},
      {"21_both", completions(kChunked + length, body), 400, "bad_request"},
      {"22_xchunked", completions(kJson + "Transfer-Encoding: xchunked\r\n"), 501,
       "unsupported_transfer_encoding"},
      {"22_chunked_identity", completions(kJson + "Transfer-Encoding: chunked, identity\r\n"), 501,
       "unsupported_transfer_encoding"},
      {"23_bad_size", completions(kChunked, "zz\r\nhi\r\n0\r\n\r\n"), 400, "bad_request"},
      {"23_0x", completions(kChunked, "0x10\r\n0123456789abcdef\r\n0\r\n\r\n"), 400, "bad_request"},
      {"23_missing_crlf", completions(kChunked, "5\r\nhelloX0\r\n\r\n"), 400, "bad_request"},
      {"23_huge", completions(kChunked, "3b9aca00\r\n"), 413, "request_too_large"},
      {"24_long_line", completions("X: " + std::string(9000, 'a') + "\r\n"), 431, "headers_too_large"},
      {"24_65_headers", completions(many), 431, "headers_too_large"},
      {"24_total",
       completions("A: " + std::string(8000, 'a') + "\r\nB: " + std::string(8000, 'b') +
                   "\r\nC: " + std::string(8000, 'c') + "\r\n"),
       431, "headers_too_large"},
      {"25_uri", get("/" + std::string(8193, 'a')), 414, "uri_too_long"},
      {"26_bare_lf", "GET /livez HTTP/1.1\nHost: localhost\n\n", 400, "bad_request"},
      {"26_obs_fold", get("/livez", "X: a\r\n b\r\n"), 400, "bad_request"},
      {"26_space_before_colon", get("/livez", "X : a\r\n"), 400, "bad_request"},
      {"26_nul", get("/livez", std::string("X: a\0b\r\n", 8)), 400, "bad_request"},
      {"27_no_host", "GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request"},
      {"27_two_hosts", get("/livez", "Host: localhost\r\n"), 400, "bad_request"},
      {"29_http09", "GET /livez HTTP/0.9\r\nHost: localhost\r\n\r\n", 505, "http_version_not_supported"},
      {"29_http3", "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "http_version_not_supported"},
      {"29_pri", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"},
      {"30_tls", std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 11), 400, "bad_request"},
      {"35_other_expectation", completions(kJson + length + "Expect: 200-maybe\r\n"), 417,
       "expectation_failed"},
      {"35_expect_too_large", completions(kJson + "Content-Length: 9000000\r\nExpect: 100-continue\r\n"), 413,
       "request_too_large"},
  };
}

std::vector<RawCase> routing_cases() {
  const std::string body = R"({"prompt":"hi","max_tokens":1})";
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
  return {
      {"18_gzip", completions(kJson + length + "Content-Encoding: gzip\r\n", body), 415,
       "unsupported_encoding", false},
      {"19_text", completions("Content-Type: text/plain\r\n" + length, body), 415, "unsupported_media_type",
       false},
      {"19_form", completions(form + length, body), 415, "unsupported_media_type", false},
      {"19_missing", completions(length, body), 415, "unsupported_media_type", false},
      {"28_host", "GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "host_not_allowed", false},
      {"31_get", get("/v1/completions"), 405, "method_not_allowed", false},
      {"31_post_health", post("/health", "{}"), 405, "method_not_allowed", false},
      {"32_unknown", get("/nothing"), 404, "not_found", false},
      {"32_prefix", get("/v1"), 404, "not_found", false},
      {"33_dots", get("/v1/../admin"), 404, "not_found", false},
      {"33_encoded_dots", get("/v1/%2e%2e/health"), 404, "not_found", false},
      {"33_double_slash", get("//v1/models"), 404, "not_found", false},
      {"34_trace", "TRACE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method_not_allowed", false},
      {"34_connect", "CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "not_implemented",
       false},
  };
}

class HttpBadInput : public ::testing::Test {
 protected:
  void check(const RawCase& c) {
    SCOPED_TRACE(c.name);
    HttpClient client(server_.port());
    client.send(c.bytes);
    const auto answer = client.read_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, c.status) << answer->body;
    EXPECT_EQ(answer->headers.at("content-type"), "application/json");
    EXPECT_TRUE(answer->headers.contains("x-request-id"));
    EXPECT_TRUE(answer->body.starts_with(R"({"error":{"message":")")) << answer->body;
    EXPECT_NE(answer->body.find(R"("type":")"), std::string::npos);
    EXPECT_NE(answer->body.find(R"("code":")" + c.code + "\""), std::string::npos) << answer->body;
    EXPECT_EQ(answer->headers.contains("connection"), c.closes);
    if (c.closes) {
      EXPECT_TRUE(client.closed_within(kSoon));
    } else {
      client.send(get("/livez"));
      const auto next = client.read_answer();
      ASSERT_TRUE(next);
      EXPECT_EQ(next->status, 200);
    }
    EXPECT_TRUE(server_.canary());
  }

  TestServer server_;
};

TEST_F(HttpBadInput, FramingIsRefusedAndTheConnectionClosed) {
  for (const RawCase& c : framing_cases()) check(c);
  EXPECT_TRUE(server_.engine().submitted().empty());
}

TEST_F(HttpBadInput, RoutingIsRefusedAndTheConnectionStays) {
  for (const RawCase& c : routing_cases()) check(c);
  EXPECT_TRUE(server_.engine().submitted().empty());
}

TEST_F(HttpBadInput, ChunkedBodyPastTheLimitIsCut) {
  HttpClient client(server_.port());
  client.send(completions(kChunked));
  const std::string chunk = "10000\r\n" + std::string(65536, 'a') + "\r\n";
  for (int i = 0; i < 200 && client.send(chunk); ++i) {
  }
  const auto answer = client.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(server_.canary());
}

TEST_F(HttpBadInput, MillionsOfOneByteChunksAreCut) {
  HttpClient client(server_.port());
  client.send(completions(kChunked));
  std::string chunks;
  for (int i = 0; i < 4096; ++i) chunks += "1\r\na\r\n";
  for (int i = 0; i < 2048 && client.send(chunks); ++i) {
  }
  const auto answer = client.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(server_.canary());
}

TEST_F(HttpBadInput, AllowHeaderNamesTheMethods) {
  EXPECT_EQ(ask(server_.port(), get("/v1/completions"))->headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(ask(server_.port(), post("/v1/models", "{}"))->headers.at("allow"), "GET, HEAD, OPTIONS");
}

TEST_F(HttpBadInput, HostileRequestIdsAndQueriesAreNotEchoed) {
  const auto answer =
      ask(server_.port(), get("/livez?x=%0D%0ASet-Cookie:%20a", "X-Request-Id: a%0D%0Ab\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->headers.at("x-request-id").find('%'), std::string::npos);
  EXPECT_FALSE(answer->headers.contains("set-cookie"));
  EXPECT_EQ(ask(server_.port(), get("/livez", "X-Request-Id: trace-1.2_3\r\n"))->headers.at("x-request-id"),
            "trace-1.2_3");
}

TEST_F(HttpBadInput, BytesOfNoProtocolNeverHarm) {
  uint64_t state = 42;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = i % 3 == 0 ? "GET " : i % 3 == 1 ? completions(kChunked) : std::string();
    for (int j = 0; j < 200; ++j) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      bytes += static_cast<char>(state >> 56U);
    }
    HttpClient client(server_.port());
    client.send(bytes);
    client.half_close();
    EXPECT_TRUE(client.closed_within(kSoon)) << i;
  }
  EXPECT_TRUE(server_.canary());
}

}  // namespace
}  // namespace pegainfer::testing
