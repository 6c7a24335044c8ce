// What a request says about its place among others: priority, deadline, salt, name; and what the server does
// when there is no place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "server/http_client.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

HttpAnswer complete(const TestServer& server, const std::string& more) {
  auto answer = ask(server.port(), post("/v1/completions", R"({"prompt":"hi")" + more + "}"));
  EXPECT_TRUE(answer);
  return answer.value_or(HttpAnswer{});
}

TestServerOptions manual() {
  TestServerOptions options;
  options.engine.manual = true;
  return options;
}

TEST(Scheduling, WhatTheBodySaysReachesTheEngine) {
  TestServer server;
  complete(server, R"(,"priority":-3,"timeout":12.5,"cache_salt":"tenant-1","request_id":"job 7")");
  complete(server, "");
  const auto seen = server.engine().submitted();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].priority, -3);
  EXPECT_EQ(seen[0].cache_salt, "tenant-1");
  EXPECT_EQ(seen[0].name, "job 7");
  EXPECT_EQ(seen[0].group, 0U);
  EXPECT_TRUE(seen[0].has_place);
  ASSERT_TRUE(seen[0].time_left);
  EXPECT_LE(*seen[0].time_left, std::chrono::milliseconds(12'500));
  EXPECT_GT(*seen[0].time_left, std::chrono::seconds(2));
  EXPECT_EQ(seen[1].priority, 0);
  EXPECT_EQ(seen[1].cache_salt, "");
  EXPECT_FALSE(seen[1].time_left);
  EXPECT_FALSE(seen[1].name.empty());  // the request id that the answer carries
}

TEST(Scheduling, ChoicesOfOnePromptAreAGroup) {
  TestServer server;
  ask(server.port(), post("/v1/completions", R"({"prompt":["a","b"],"n":2})"));
  const auto seen = server.engine().submitted();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_GT(seen[0].group, 0U);
  EXPECT_EQ(seen[0].group, seen[1].group);
  EXPECT_GT(seen[2].group, seen[0].group);
  EXPECT_EQ(seen[2].group, seen[3].group);
}

TEST(Scheduling, WrongValuesAreRefusedByName) {
  TestServer server;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("priority":1.5)", "priority"},
      {R"("priority":"1")", "priority"},
      {R"("priority":2147483648)", "priority"},
      {R"("timeout":0)", "timeout"},
      {R"("timeout":-1)", "timeout"},
      {R"("timeout":"5")", "timeout"},
      {R"("timeout":1e400)", ""},
      {R"("cache_salt":"")", "cache_salt"},
      {R"("cache_salt":5)", "cache_salt"},
      {R"("cache_salt":"a/b")", "cache_salt"},
      {R"("cache_salt":"a@b")", "cache_salt"},
      {R"("cache_salt":"a\\b")", "cache_salt"},
      {R"("cache_salt":"a\u0000b")", "cache_salt"},
      {R"("cache_salt":")" + std::string(129, 'x') + "\"", "cache_salt"},
      {R"("cache_salt":")" + std::string(1 << 20, 'x') + "\"", "cache_salt"},
      {R"("request_id":7)", "request_id"},
  };
  for (const auto& [field, param] : cases) {
    const HttpAnswer answer = complete(server, "," + field);
    EXPECT_EQ(answer.status, 400) << field.substr(0, 50);
    if (!param.empty()) {
      EXPECT_THAT(answer.body, HasSubstr(R"("param":")" + param + "\"")) << field.substr(0, 50);
    }
  }
  EXPECT_TRUE(server.engine().submitted().empty());
  EXPECT_EQ(complete(server, R"(,"priority":null,"timeout":null,"cache_salt":null,"request_id":null)").status,
            200);
  EXPECT_EQ(server.engine().num_reserved(), 0);
}

TEST(Scheduling, AFullQueueIs429BeforeThePromptIsRead) {
  TestServer server;
  server.engine().refuse_reservations(resource_exhausted("The queue is full", "queue_full"));
  const HttpAnswer answer = complete(server, "");
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.body, HasSubstr(R"("type":"rate_limit_error")"));
  EXPECT_THAT(answer.body, HasSubstr(R"("code":"queue_full")"));
  const int retry_after = std::stoi(answer.headers.at("retry-after"));
  EXPECT_GE(retry_after, 1);
  EXPECT_LE(retry_after, 60);
  EXPECT_TRUE(server.engine().submitted().empty());
  server.engine().refuse_reservations({});
  EXPECT_EQ(complete(server, "").status, 200);
}

TEST(Scheduling, PlacesAreGivenBackHoweverItEnds) {
  TestServer server(manual());
  HttpClient client(server.port());
  client.send(post("/v1/completions", R"({"prompt":["a","b"],"n":3})"));
  ASSERT_TRUE(server.engine().wait_submitted(6));
  EXPECT_EQ(server.engine().num_reserved(), 6);
  client.reset();
  ASSERT_TRUE(server.engine().wait_cancelled(6));
  ASSERT_TRUE(server.engine().wait_idle());
  EXPECT_EQ(server.engine().num_reserved(), 0);
  EXPECT_EQ(complete(server, R"(,"max_tokens":0)").status, 400);
  EXPECT_EQ(server.engine().num_reserved(), 0);
}

TEST(Scheduling, ATimeoutIs504BeforeTheStreamAndAnEventInIt) {
  TestServer server(manual());
  HttpClient waiting(server.port());
  waiting.send(post("/v1/completions", R"({"prompt":"a","stream":true})"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  server.engine().time_out("the request's time of 5 s is over");
  auto answer = waiting.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 504);
  EXPECT_THAT(answer->body, HasSubstr(R"("type":"timeout_error")"));
  EXPECT_THAT(answer->body, HasSubstr("5 s"));

  HttpClient running(server.port());
  running.send(post("/v1/completions", R"({"prompt":"a","stream":true})"));
  ASSERT_TRUE(server.engine().wait_submitted(2));
  server.engine().step(2);
  server.engine().time_out("the request's time of 5 s is over");
  answer = running.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(
      answer->body,
      HasSubstr(R"(data: {"error":{"message":"the request's time of 5 s is over","type":"timeout_error")"));
  EXPECT_THAT(answer->body, EndsWith("data: [DONE]\n\n"));
}

TEST(Scheduling, TheServersTimeoutIsForThoseThatBringNone) {
  TestServerOptions options;
  options.service.request_timeout = std::chrono::seconds(40);
  TestServer server(std::move(options));
  complete(server, "");
  complete(server, R"(,"timeout":3)");
  const auto seen = server.engine().submitted();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_GT(*seen[0].time_left, std::chrono::seconds(30));
  EXPECT_LT(*seen[1].time_left, std::chrono::seconds(4));
}

TEST(Operations, TheCacheIsResetWithAndWithoutABody) {
  TestServer server;
  const auto answer =
      ask(server.port(), "POST /reset_prefix_cache HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(ask(server.port(), post("/reset_prefix_cache", "{}"))->status, 200);
  EXPECT_EQ(server.engine().num_cache_resets(), 2);
}

}  // namespace
}  // namespace pegainfer::testing
