#include "server/http/request_parser.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace pegainfer::http {
namespace {

struct Parsed {
  std::vector<Request> requests;
  std::optional<Fault> fault;
};

Parsed parse(std::string_view bytes, size_t piece, const Limits& limits = {}) {
  RequestParser parser(limits);
  Parsed out;
  std::string buffer;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    buffer += bytes.substr(at, piece);
    for (bool more = true; more;) {
      switch (parser.advance(buffer)) {
        case RequestParser::Event::kNeedMore: more = false; break;
        case RequestParser::Event::kHeader: break;
        case RequestParser::Event::kComplete: out.requests.push_back(parser.take_request()); break;
        case RequestParser::Event::kFault: out.fault = parser.fault(); return out;
      }
    }
  }
  return out;
}

constexpr std::string_view kChunkedHead =
    "POST /x?y=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(RequestParser, SameRequestsHoweverTheBytesAreCut) {
  const std::string bytes =
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" +
      std::string(kChunkedHead) + "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n" +
      "GET /last HTTP/1.0\r\n\r\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Parsed out = parse(bytes, piece);
    ASSERT_FALSE(out.fault) << "pieces of " << piece << ": " << out.fault->message;
    ASSERT_EQ(out.requests.size(), 4U) << "pieces of " << piece;
    EXPECT_EQ(out.requests[0].path, "/a");
    EXPECT_EQ(out.requests[1].body, "hello");
    EXPECT_EQ(out.requests[2].body, "abc0123456789");
    EXPECT_EQ(out.requests[2].path, "/x");
    EXPECT_EQ(out.requests[2].target, "/x?y=1");
    EXPECT_EQ(out.requests[3].minor_version, 0);
    EXPECT_EQ(out.requests[2].header("trailer"), nullptr);
  }
}

// Found by fuzzing: with assertions on, Beast's parser aborted when the last chunk came first and in pieces.
TEST(RequestParser, NoChunksButTheLastHoweverTheyAreCut) {
  for (const std::string body : {"0\r\n\r\n", "00\r\n\r\n", "0;a=b\r\n\r\n", "0\r\nTrailer: x\r\n\r\n"}) {
    const std::string bytes = std::string(kChunkedHead) + body + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t piece = 1; piece <= bytes.size(); ++piece) {
      const Parsed out = parse(bytes, piece);
      ASSERT_FALSE(out.fault) << body << " in pieces of " << piece << ": " << out.fault->message;
      ASSERT_EQ(out.requests.size(), 2U) << body << " in pieces of " << piece;
      EXPECT_EQ(out.requests[0].body, "");
      EXPECT_EQ(out.requests[1].path, "/next");
    }
  }
}

TEST(RequestParser, MalformedChunksAreRefusedHoweverTheyAreCut) {
  for (const std::string body :
       {"0x10\r\n0123456789abcdef\r\n0\r\n\r\n", "-1\r\n", "z\r\n", "\r\n", "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n", "3\nabc\r\n", "ffffffffffffffffff\r\n", "3 \x01\r\nabc\r\n"}) {
    const std::string bytes = std::string(kChunkedHead) + body;
    for (size_t piece = 1; piece <= bytes.size(); ++piece) {
      const Parsed out = parse(bytes, piece);
      ASSERT_TRUE(out.fault) << body << " in pieces of " << piece;
      EXPECT_TRUE(out.fault->status == 400 || out.fault->status == 413) << body << ": " << out.fault->status;
    }
  }
}

TEST(RequestParser, BodyLimits) {
  Limits limits;
  limits.max_body = 10;
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  EXPECT_EQ(parse(head + "10\r\n\r\n0123456789", 1000, limits).requests.size(), 1U);
  EXPECT_EQ(parse(head + "11\r\n\r\n", 1000, limits).fault->status, 413);  // before a byte of it was read
  EXPECT_EQ(parse(head + "18446744073709551615\r\n\r\n", 1000, limits).fault->status, 413);
  EXPECT_EQ(parse(std::string(kChunkedHead) + "a\r\n0123456789\r\n0\r\n\r\n", 1000, limits).requests.size(),
            1U);
  EXPECT_EQ(parse(std::string(kChunkedHead) + "b\r\n0123456789a\r\n0\r\n\r\n", 1000, limits).fault->status,
            413);
  EXPECT_EQ(parse(std::string(kChunkedHead) + "6\r\n012345\r\n6\r\n", 1000, limits).fault->status, 413);
}

TEST(RequestParser, ChunkCountIsLimited) {
  Limits limits;
  limits.max_chunks = 100;
  std::string bytes(kChunkedHead);
  for (int i = 0; i < 100; ++i) bytes += "1\r\nx\r\n";
  EXPECT_EQ(parse(bytes + "0\r\n\r\n", 4096, limits).requests.size(), 1U);
  const Parsed out = parse(bytes + "1\r\nx\r\n0\r\n\r\n", 4096, limits);
  ASSERT_TRUE(out.fault);
  EXPECT_EQ(out.fault->status, 413);
}

TEST(RequestParser, EndlessChunkLineIsRefused) {
  const std::string bytes = std::string(kChunkedHead) + "1;" + std::string(100'000, 'a');
  for (const size_t piece : {size_t{1000}, bytes.size()}) EXPECT_TRUE(parse(bytes, piece).fault) << piece;
}

TEST(RequestParser, ProxyFormOfTheTarget) {
  const Parsed out = parse("GET http://localhost:8000/v1/models?x HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000);
  ASSERT_EQ(out.requests.size(), 1U);
  EXPECT_EQ(out.requests[0].path, "/v1/models");
}

}  // namespace
}  // namespace pegainfer::http
