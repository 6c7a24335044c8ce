// /metrics, profiles, and what is told of every HTTP exchange.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/access_log.h"
#include "server/http_client.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

using server::access_line;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Watching, MetricsAreThePageOfTheProvider) {
  TestServerOptions options;
  options.watching.metrics = [n = 0]() mutable { return "page " + std::to_string(++n) + "\n"; };
  options.loaded = false;  // there is something to see before there is a model
  TestServer server(std::move(options));
  const auto answer = ask(server.port(), get("/metrics"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "page 1\n");
  EXPECT_EQ(answer->headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(ask(server.port(), get("/metrics"))->body, "page 2\n");
  EXPECT_EQ(ask(server.port(), post("/metrics", "{}"))->status, 405);
}

TEST(Watching, WithoutProvidersTheEndpointsSayWhy) {
  TestServer server;
  EXPECT_EQ(ask(server.port(), get("/metrics"))->status, 404);
  for (const char* path : {"/start_profile", "/stop_profile"}) {
    const auto answer = ask(server.port(), post(path, ""));
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_THAT(answer->body, HasSubstr("--trace-dir")) << path;
  }
  EXPECT_TRUE(server.canary());
}

TEST(Watching, ProfilesStartAndStop) {
  TestServerOptions options;
  auto running = std::make_shared<std::atomic<bool>>(false);
  options.watching.start_profile = [running]() -> Status {
    if (running->exchange(true)) return invalid_argument("running already", {}, "profile_running");
    return ok_status();
  };
  options.watching.stop_profile = [running]() -> Result<std::string> {
    if (!running->exchange(false)) return invalid_argument("not running", {}, "profile_not_running");
    return std::string("/a \"b\"/c.json");
  };
  TestServer server(std::move(options));
  EXPECT_EQ(ask(server.port(), post("/stop_profile", ""))->status, 400);
  EXPECT_EQ(ask(server.port(), post("/start_profile", ""))->status, 200);
  const auto again = ask(server.port(), post("/start_profile", ""));
  EXPECT_EQ(again->status, 400);
  EXPECT_THAT(again->body, HasSubstr(R"("code":"profile_running")"));
  const auto stopped = ask(server.port(), post("/stop_profile", ""));
  EXPECT_EQ(stopped->status, 200);
  EXPECT_EQ(stopped->body, R"({"path":"/a \"b\"/c.json"})");
  EXPECT_EQ(ask(server.port(), get("/start_profile"))->status, 405);
}

// What on_exchange() was told, as "POST /v1/completions 200".
class Exchanges {
 public:
  std::function<void(const http::Exchange&)> listener() {
    return [this](const http::Exchange& e) {
      EXPECT_GE(e.seconds, 0);
      EXPECT_LT(e.seconds, 10);
      const std::lock_guard lock(mutex_);
      all_.push_back(std::string(e.method) + " " + std::string(e.handler) + " " + std::to_string(e.status));
    };
  }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(all_, {});
  }
  // Until there is one: a client that leaves is noticed a little later.
  std::vector<std::string> wait() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      if (auto all = take(); !all.empty()) return all;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> all_;
};

TEST(Watching, EveryExchangeIsToldOnceWithBoundedNames) {
  Exchanges exchanges;
  TestServerOptions options;
  options.http.on_exchange = exchanges.listener();
  TestServer server(std::move(options));
  const auto told = [&](std::string_view request) {
    EXPECT_TRUE(ask(server.port(), request));
    return exchanges.take();
  };
  EXPECT_THAT(told(get("/livez")), ElementsAre("GET /livez 200"));
  EXPECT_THAT(told(get("/livez?a=b")), ElementsAre("GET /livez 200"));
  EXPECT_THAT(told(get("/v1/models/nope")), ElementsAre("GET /v1/models/{id} 404"));
  EXPECT_THAT(told(get("/random-4711")), ElementsAre("GET none 404"));
  EXPECT_THAT(told(post("/livez", "{}")), ElementsAre("POST none 405"));
  EXPECT_THAT(told("BREW /pot HTTP/1.1\r\nhost: localhost\r\n\r\n"), ElementsAre("other none 404"));
  EXPECT_THAT(told("no HTTP at all\r\n\r\n"), ElementsAre("other none 400"));
  EXPECT_THAT(told(post("/v1/completions", R"({"prompt":"a"})")), ElementsAre("POST /v1/completions 200"));
  EXPECT_THAT(told(post("/v1/completions", R"({"prompt":"a","stream":true})")),
              ElementsAre("POST /v1/completions 200"));
  EXPECT_THAT(told(post("/v1/completions", "{")), ElementsAre("POST /v1/completions 400"));

  HttpClient both(server.port());
  EXPECT_TRUE(both.send(get("/livez") + get("/version")));
  EXPECT_TRUE(both.read_answer() && both.read_answer());
  EXPECT_THAT(exchanges.take(), ElementsAre("GET /livez 200", "GET /version 200"));
}

TEST(Watching, AClientThatLeavesIsToldToo) {
  Exchanges exchanges;
  TestServerOptions options;
  options.engine.manual = true;
  options.http.on_exchange = exchanges.listener();
  TestServer server(std::move(options));
  {
    HttpClient client(server.port());
    client.send(post("/v1/completions", R"({"prompt":"a"})"));
    ASSERT_TRUE(server.engine().wait_submitted(1));
    EXPECT_TRUE(exchanges.take().empty());
  }
  EXPECT_THAT(exchanges.wait(), ElementsAre("POST /v1/completions 0"));
  {
    HttpClient idle(server.port());
    idle.send("GET /li");
  }
  EXPECT_TRUE(server.canary());
  EXPECT_THAT(exchanges.wait(), ElementsAre("GET /livez 200"));
}

TEST(AccessLine, AsUvicornWritesItAndNothingBreaksOut) {
  EXPECT_EQ(access_line({.method = "POST",
                         .handler = "/v1/completions",
                         .status = 200,
                         .seconds = 0.0567,
                         .path = "/v1/completions",
                         .request_id = "req-1",
                         .peer = "127.0.0.1:5000",
                         .bytes = 1234}),
            R"(127.0.0.1:5000 - "POST /v1/completions HTTP/1.1" 200 OK 1234B 56.7ms req-1)");
  EXPECT_EQ(access_line({.method = "GET",
                         .path = "/a\" 200 OK\r\n\x1b[2J",
                         .request_id = "r",
                         .peer = "unix",
                         .minor_version = 0}),
            R"(unix - "GET /a\x22 200 OK\x0d\x0a\x1b[2J HTTP/1.0" 499 Client Closed Request 0B 0.0ms r)");
  const std::string endless(5000, '\x01');
  EXPECT_LT(access_line({.method = "GET", .path = endless}).size(), 1300U);
  EXPECT_EQ(access_line({.method = "other", .status = 400, .request_id = "r", .peer = "p"}),
            R"(p - "other - HTTP/1.1" 400 Bad Request 0B 0.0ms r)");
}

}  // namespace
}  // namespace pegainfer::testing
