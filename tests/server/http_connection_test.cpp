// The life of connections: keep-alive, pipelining, time limits, slow and leaving clients.
#include <gtest/gtest.h>

#include <string>

#include "server/http_client.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kSoon{5'000};

std::string completion(std::string_view fields) {
  return post("/v1/completions", "{\"prompt\":\"hi\"" + std::string(fields) + "}");
}

TestServerOptions impatient() {
  TestServerOptions options;
  options.http.timeouts.header = milliseconds(150);
  options.http.timeouts.body = milliseconds(150);
  options.http.timeouts.idle = milliseconds(250);
  options.http.timeouts.linger = milliseconds(150);
  return options;
}

TEST(HttpConnection, KeepAliveByVersionAndHeader) {
  TestServer server;
  HttpClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send(get("/livez"));
    ASSERT_EQ(client.read_answer()->status, 200);
  }
  client.send(get("/livez", "Connection: close\r\n"));
  EXPECT_EQ(client.read_answer()->headers.at("connection"), "close");
  EXPECT_TRUE(client.closed_within(kSoon));

  HttpClient old(server.port());
  old.send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(old.read_answer()->headers.at("connection"), "keep-alive");
  old.send("GET /livez HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.read_answer()->status, 200);
  EXPECT_TRUE(old.closed_within(kSoon));
}

TEST(HttpConnection, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  HttpClient client(server.port());
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    const std::string id = "X-Request-Id: r" + std::to_string(i) + "\r\n";
    bytes +=
        i % 2 == 0 ? post("/v1/completions", R"({"prompt":"hi","max_tokens":1})", id) : get("/livez", id);
  }
  client.send(bytes);
  for (int i = 0; i < 100; ++i) {
    const auto answer = client.read_answer();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->headers.at("x-request-id"), "r" + std::to_string(i));
  }
}

TEST(HttpConnection, PipelinedBytesAreNoDisconnect) {
  TestServerOptions options;
  options.engine.manual = true;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(R"(,"max_tokens":2)"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  client.send(get("/livez") + get("/livez"));
  server.engine().step(2);
  EXPECT_EQ(client.read_answer()->status, 200);
  EXPECT_EQ(client.read_answer()->body, R"({"status":"ok"})");
  EXPECT_EQ(client.read_answer()->body, R"({"status":"ok"})");
  EXPECT_TRUE(server.engine().cancelled().empty());
}

TEST(HttpConnection, MuchPipelinedInputWaitsForItsTurn) {
  TestServerOptions options;
  options.engine.manual = true;
  options.http.limits.max_pipelined = 1000;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(R"(,"max_tokens":1)"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  std::string bytes;
  for (int i = 0; i < 2000; ++i) bytes += get("/livez");
  std::jthread sender([&] { client.send(bytes); });
  server.engine().step(1);
  for (int i = 0; i <= 2000; ++i) ASSERT_TRUE(client.read_answer()) << i;
}

TEST(HttpConnection, HeadAndOptions) {
  TestServer server;
  HttpClient client(server.port());
  client.send("HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto head = client.read_answer(true);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->headers.at("content-length"), "15");
  client.send("OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto options = client.read_answer();
  EXPECT_EQ(options->status, 204);
  EXPECT_EQ(options->headers.at("allow"), "POST, OPTIONS");
  client.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read_answer()->status, 204);
  client.send("OPTIONS /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read_answer()->status, 404);
}

TEST(HttpConnection, ExpectContinue) {
  TestServer server;
  const std::string body = R"({"prompt":"hi","max_tokens":1})";
  HttpClient client(server.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.read_answer()->status, 100);
  client.send(body);
  EXPECT_EQ(client.read_answer()->status, 200);
}

TEST(HttpConnection, ChunkedUploadInSmallPieces) {
  TestServer server;
  HttpClient client(server.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  for (const char c : std::string(R"({"prompt":"hi","max_tokens":1})"))
    client.send(std::string("1\r\n") + c + "\r\n");
  client.send("0\r\n\r\n");
  EXPECT_EQ(client.read_answer()->status, 200);
}

TEST(HttpConnection, SlowHeadersAndBodiesTimeOut) {
  TestServer server(impatient());
  HttpClient header(server.port());
  header.send("GET /livez HTT");
  HttpClient body(server.port());
  body.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 100\r\n\r\n{");
  for (int i = 0; i < 4; ++i) {  // bytes that trickle in do not move the deadline
    std::this_thread::sleep_for(milliseconds(60));
    header.send("P");
    body.send(" ");
  }
  for (HttpClient* client : {&header, &body}) {
    const auto answer = client->read_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 408);
    EXPECT_NE(answer->body.find("request_timeout"), std::string::npos);
    EXPECT_TRUE(client->closed_within(kSoon));
  }
  EXPECT_TRUE(server.canary());
}

TEST(HttpConnection, SilentAndIdleConnectionsAreClosed) {
  TestServer server(impatient());
  HttpClient silent(server.port());
  EXPECT_TRUE(silent.closed_within(kSoon));
  HttpClient idle(server.port());
  idle.send(get("/livez"));
  ASSERT_EQ(idle.read_answer()->status, 200);
  EXPECT_FALSE(idle.closed_within(milliseconds(100)));  // longer than a silent one may take no time at all
  EXPECT_TRUE(idle.closed_within(kSoon));
}

TEST(HttpConnection, LongAnswersAreNotTimedOutByReading) {
  TestServerOptions options = impatient();
  options.engine.manual = true;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(R"(,"max_tokens":1)"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  std::this_thread::sleep_for(milliseconds(500));
  server.engine().step(1);
  EXPECT_EQ(client.read_answer()->status, 200);
}

enum class Leaving { kClose, kReset, kHalfClose };

class HttpLeavingClient : public ::testing::TestWithParam<std::tuple<Leaving, bool, int>> {};

// Running or queued, streaming or not: the engine hears of it at once and no step is needed.
TEST_P(HttpLeavingClient, FreesItsPlace) {
  const auto [leaving, stream, steps] = GetParam();
  TestServerOptions options;
  options.engine.manual = true;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(stream ? R"(,"stream":true,"n":2,"max_tokens":20)" : R"(,"n":2,"max_tokens":20)"));
  ASSERT_TRUE(server.engine().wait_submitted(2));
  server.engine().step(steps);
  if (stream && steps > 0) {
    ASSERT_TRUE(client.read_until("data: "));
  }
  switch (leaving) {
    case Leaving::kClose: client.close(); break;
    case Leaving::kReset: client.reset(); break;
    case Leaving::kHalfClose: client.half_close(); break;
  }
  EXPECT_TRUE(server.engine().wait_cancelled(2));
  EXPECT_TRUE(server.engine().wait_idle());
  EXPECT_TRUE(server.canary());
  size_t left = 1;
  server.on_server_thread([&](http::HttpServer&, server::Service& service) { left = service.num_jobs(); });
  EXPECT_EQ(left, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, HttpLeavingClient,
                         ::testing::Combine(::testing::Values(Leaving::kClose, Leaving::kReset,
                                                              Leaving::kHalfClose),
                                            ::testing::Bool(), ::testing::Values(0, 1, 3)));

TEST(HttpConnection, SlowReaderIsDroppedAndItsRequestCancelled) {
  TestServerOptions options;
  options.http.limits.max_pending = 64U << 10U;
  options.engine.script = [](const GenerateRequest&) { return text_script(std::string(200'000, 'x')); };
  options.engine.info.max_model_len = 300'000;
  options.engine.info.num_kv_blocks = 100'000;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(R"(,"stream":true,"max_tokens":200000)"));
  EXPECT_TRUE(server.engine().wait_cancelled(1));
  EXPECT_TRUE(server.canary());
}

TEST(HttpConnection, StalledReaderIsDroppedAfterAWhile) {
  TestServerOptions options;
  options.http.timeouts.write_stall = milliseconds(200);
  options.http.limits.max_pending = 1U << 30U;
  options.engine.script = [](const GenerateRequest&) { return text_script(std::string(100'000, 'x')); };
  options.engine.info.max_model_len = 300'000;
  options.engine.info.num_kv_blocks = 100'000;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(completion(R"(,"stream":true,"max_tokens":100000)"));
  ASSERT_TRUE(client.read_until("data: "));
  std::this_thread::sleep_for(milliseconds(100));
  size_t connections = 1;
  for (int i = 0; i < 100 && connections > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(50));
    server.on_server_thread(
        [&](http::HttpServer& s, server::Service&) { connections = s.num_connections(); });
  }
  EXPECT_EQ(connections, 0U);
}

TEST(HttpConnection, TooManyConnectionsAreRefused) {
  TestServerOptions options;
  options.http.limits.max_connections = 2;
  TestServer server(std::move(options));
  HttpClient first(server.port());
  HttpClient second(server.port());
  for (HttpClient* client : {&first, &second}) {
    client->send(get("/livez"));
    ASSERT_EQ(client->read_answer()->status, 200);
  }
  HttpClient third(server.port());
  const auto answer = third.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_TRUE(answer->headers.contains("retry-after"));
  EXPECT_TRUE(third.closed_within(kSoon));
  first.close();
  for (int i = 0; i < 100 && !server.canary(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(server.canary());
}

// What is read after the last byte is waited for only as long as the client is there: its place is free then.
TEST(HttpConnection, AnAnsweredClientThatClosesIsNotWaitedFor) {
  TestServerOptions options;
  options.http.timeouts.linger = milliseconds(60'000);
  options.http.limits.max_connections = 1;
  TestServer server(std::move(options));
  for (int i = 0; i < 3; ++i) {
    int status = 0;
    const auto end = std::chrono::steady_clock::now() + kSoon;
    while (status != 200 && std::chrono::steady_clock::now() < end) {
      HttpClient client(server.port());
      client.send(get("/livez", "Connection: close\r\n"));
      const auto answer = client.read_answer();
      status = answer ? answer->status : 0;
      client.close();
    }
    EXPECT_EQ(status, 200) << i;
  }
}

TEST(HttpConnection, TakenPortIsAnErrorThatNamesIt) {
  TestServer server;
  http::Options options;
  options.port = server.port();
  const auto second = http::HttpServer::listen(options, http::Router{});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kInvalidArgument);
  EXPECT_NE(second.error().message.find(std::to_string(server.port())), std::string::npos);
  EXPECT_NE(second.error().message.find("--port"), std::string::npos);
}

TEST(HttpConnection, UnknownHostIsAnError) {
  http::Options options;
  options.host = "no such host";
  const auto server = http::HttpServer::listen(options, http::Router{});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().param, "host");
}

}  // namespace
}  // namespace pegainfer::testing
