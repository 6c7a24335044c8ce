// The endpoints beside completions, and a server that is not ready.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>

#include "server/http_client.h"
#include "server/routes.h"
#include "server/test_server.h"
#include "server/version.h"

namespace pegainfer::testing {
namespace {

using ::testing::HasSubstr;

TEST(Endpoints, Models) {
  TestServer server;
  EXPECT_EQ(
      ask(server.port(), get("/v1/models"))->body,
      R"({"object":"list","data":[{"id":"fake-model","object":"model","created":1700000000,"owned_by":"pegainfer",)"
      R"("root":"fake-model","parent":null,"max_model_len":2048,"meta":{"n_ctx":2048,"n_vocab":260}},)"
      R"({"id":"second-name","object":"model",)"
      R"("created":1700000000,"owned_by":"pegainfer","root":"fake-model","parent":null,"max_model_len":2048,"meta":{"n_ctx":2048,"n_vocab":260}}]})");
  EXPECT_THAT(ask(server.port(), get("/v1/models/second%2Dname"))->body, HasSubstr(R"({"id":"second-name")"));
  const auto unknown = ask(server.port(), get("/v1/models/org/nope"));
  EXPECT_EQ(unknown->status, 404);
  EXPECT_THAT(unknown->body, HasSubstr(R"("code":"model_not_found")"));
}

TEST(Endpoints, TokenizeAndBack) {
  TestServerOptions options;
  options.tokenizer.add_bos = true;
  TestServer server(std::move(options));
  const auto tokenize = [&](std::string_view body) {
    return ask(server.port(), post("/tokenize", body)).value();
  };
  EXPECT_EQ(tokenize(R"({"prompt":"hi"})").body,
            R"({"count":3,"max_model_len":2048,"tokens":[256,104,105],"token_strs":null})");
  EXPECT_EQ(tokenize(R"({"content":"hi","add_special_tokens":false,"return_token_strs":true})").body,
            R"({"count":2,"max_model_len":2048,"tokens":[104,105],"token_strs":["h","i"]})");
  for (const char* bad : {"{}", R"({"prompt":5})", R"({"prompt":"a","content":"b"})", R"({"messages":[]})",
                          "[]", R"({"prompt":"a","add_special_tokens":1})"})
    EXPECT_EQ(tokenize(bad).status, 400) << bad;
  EXPECT_EQ(tokenize(R"({"prompt":"a","model":"nope"})").status, 404);

  const auto detokenize = [&](std::string_view body) {
    return ask(server.port(), post("/detokenize", body)).value();
  };
  EXPECT_EQ(detokenize(R"({"tokens":[104,105]})").body, R"({"prompt":"hi","content":"hi"})");
  EXPECT_EQ(detokenize(R"({"tokens":[]})").body, R"({"prompt":"","content":""})");
  for (const char* bad :
       {"{}", R"({"tokens":"a"})", R"({"tokens":[-1]})", R"({"tokens":[99999]})", R"({"tokens":[1.5]})"})
    EXPECT_EQ(detokenize(bad).status, 400) << bad;
}

TEST(Endpoints, VersionAndHealth) {
  TestServer server;
  EXPECT_EQ(ask(server.port(), get("/version"))->body, "{\"version\":\"" + std::string(kVersion) + "\"}");
  for (const char* path : {"/health", "/readyz", "/livez"})
    EXPECT_EQ(ask(server.port(), get(path))->status, 200) << path;
}

TEST(Endpoints, LoadingIsSaidWithItsProgress) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  constexpr const char* kChat = R"({"messages":[{"role":"user","content":"a"}]})";
  const std::vector<std::string> waiting = {get("/health"),
                                            get("/readyz"),
                                            get("/v1/models"),
                                            get("/v1/models/fake-model"),
                                            post("/v1/completions", R"({"prompt":"a"})"),
                                            post("/v1/chat/completions", kChat),
                                            post("/v1/chat/completions/render", kChat),
                                            post("/tokenize", R"({"prompt":"a"})"),
                                            post("/detokenize", R"({"tokens":[1]})")};
  server.load_status().bytes_total = 400U << 20U;
  server.load_status().bytes_done = 100U << 20U;
  for (const std::string& request : waiting) {
    const auto answer = ask(server.port(), request);
    EXPECT_EQ(answer->status, 503) << request;
    EXPECT_EQ(answer->headers.at("retry-after"), "1");
    EXPECT_THAT(answer->body, HasSubstr("25% (100 of 400 MiB)"));
    EXPECT_THAT(answer->body, HasSubstr(R"("code":"model_loading")"));
  }
  EXPECT_EQ(ask(server.port(), get("/livez"))->status, 200);
  EXPECT_EQ(ask(server.port(), get("/version"))->status, 200);
  server.load();
  for (const std::string& request : waiting) EXPECT_EQ(ask(server.port(), request)->status, 200) << request;
}

TEST(Endpoints, DrainingIsSaidAndWhatRunsFinishes) {
  TestServerOptions options;
  options.engine.manual = true;
  options.http.timeouts.linger = std::chrono::milliseconds(100);
  TestServer server(std::move(options));
  HttpClient running(server.port());
  HttpClient idle(server.port());
  running.send(post("/v1/completions", R"({"prompt":"a","max_tokens":2,"stream":true})") + get("/health"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  idle.send(get("/livez"));
  ASSERT_EQ(idle.read_answer()->status, 200);
  std::atomic<bool> drained = false;
  server.on_server_thread([&](http::HttpServer& http, server::Service& service) {
    service.begin_drain();
    http.drain([&drained] { drained = true; });
  });
  EXPECT_TRUE(idle.closed_within(std::chrono::seconds(5)));
  server.on_server_thread([&](http::HttpServer&, server::Service&) { EXPECT_FALSE(drained); });
  server.engine().step(2);
  const auto answer = running.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->body, ::testing::EndsWith("data: [DONE]\n\n"));
  EXPECT_TRUE(running.closed_within(std::chrono::seconds(5)));
  for (int i = 0; i < 500 && !drained; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    server.on_server_thread([](http::HttpServer&, server::Service&) {});
  }
  server.on_server_thread([&](http::HttpServer&, server::Service&) { EXPECT_TRUE(drained); });
}

// Whatever the route, wrong types never reach a handler unchecked and never give a 5xx.
TEST(Endpoints, EveryRouteRefusesGarbage) {
  TestServer server;
  server::Service unused{server::ServiceOptions{}};
  // They take no body, so they look at none: load generators send their request's along.
  const std::set<std::string> bodiless = {"/start_profile", "/stop_profile", "/reset_prefix_cache",
                                          "/flush_cache"};
  for (const http::Route& route : server::routes(unused)) {
    if (route.method != "POST" || bodiless.contains(route.path)) continue;
    for (const char* body :
         {"", "{", "null", "[]", "42", "\"x\"", "{}", "\xff", R"({"prompt":{},"tokens":{}})"}) {
      const auto answer = ask(server.port(), post(route.path, body));
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, 400) << route.path << " " << body;
      EXPECT_THAT(answer->body, HasSubstr(R"({"error":{"message":)"));
    }
  }
  EXPECT_TRUE(server.canary());
}

}  // namespace
}  // namespace pegainfer::testing
