// What tools of other servers ask about this one, and the list of its endpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "base/json.h"
#include "server/api_index.h"
#include "server/http_client.h"
#include "server/routes.h"
#include "server/test_server.h"
#include "server/version.h"

namespace pegainfer::testing {
namespace {

using ::testing::HasSubstr;

json::Value ask_json(const TestServer& server, const std::string& path) {
  const auto answer = ask(server.port(), get(path));
  if (!answer || answer->status != 200) {
    ADD_FAILURE() << path << ": " << (answer ? answer->status : 0);
    return json::Object{};
  }
  auto parsed = json::parse(answer->body);
  if (!parsed) ADD_FAILURE() << path << ": " << parsed.error().message;
  return std::move(parsed).value_or(json::Object{});
}

TEST(ServiceInfo, LoadCountsWhatIsUnderWay) {
  TestServerOptions options;
  options.engine.manual = true;
  TestServer server(std::move(options));
  EXPECT_EQ(ask_json(server, "/load").at("server_load"), 0);
  EXPECT_EQ(ask_json(server, "/get_load").at(0).at("num_reqs"), 0);
  HttpClient client(server.port());
  client.send(post("/v1/completions", R"({"prompt":"a","stream":true})"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  EXPECT_EQ(ask_json(server, "/load").at("server_load"), 1);
  EXPECT_EQ(ask_json(server, "/get_load").at(0).at("num_reqs"), 1);
}

TEST(ServiceInfo, TellsOfModelAndLimitsUnderOthersNames) {
  TestServerOptions options;
  options.defaults.temperature = 0.25;
  options.defaults.repetition_penalty = 1.5;
  options.watching.metrics = [] { return std::string(); };
  TestServer server(std::move(options));
  for (const char* path : {"/server_info", "/get_server_info"}) {
    const json::Value info = ask_json(server, path);
    EXPECT_EQ(info.at("version"), json::Value(kVersion));
    EXPECT_EQ(info.at("status"), "ready");
    EXPECT_EQ(info.at("served_model_name"), "fake-model");
    EXPECT_EQ(info.at("context_length"), 2048);
    EXPECT_EQ(info.at("max_running_requests"), 8);
    EXPECT_EQ(info.at("max_total_num_tokens"), 16 * 128 * 16);
    EXPECT_EQ(info.at("internal_states").at(0).at("num_reqs"), 0);
  }
  for (const char* path : {"/model_info", "/get_model_info"}) {
    EXPECT_EQ(ask_json(server, path).at("model_path"), "fake-model");
    EXPECT_EQ(ask_json(server, path).at("is_generation"), true);
  }
  const json::Value props = ask_json(server, "/props");
  EXPECT_EQ(props.at("default_generation_settings").at("n_ctx"), 2048);
  EXPECT_EQ(props.at("default_generation_settings").at("params").at("temperature"), 0.25);
  EXPECT_EQ(props.at("default_generation_settings").at("params").at("repeat_penalty"), 1.5);
  EXPECT_EQ(props.at("total_slots"), 8);
  EXPECT_EQ(props.at("endpoint_metrics"), true);
  EXPECT_EQ(props.at("chat_template"), json::Value(fake_chat_model().plain->source()));
}

TEST(ServiceInfo, IsNotThereBeforeTheModel) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  for (const char* path :
       {"/get_load", "/server_info", "/model_info", "/props", "/models", "/ping", "/health_generate"})
    EXPECT_EQ(ask(server.port(), get(path))->status, 503) << path;
  for (const char* path : {"/load", "/", "/docs", "/openapi.json"})
    EXPECT_EQ(ask(server.port(), get(path))->status, 200) << path;
}

TEST(ServiceInfo, AliasesDoWhatTheyStandFor) {
  TestServer server;
  for (const char* path : {"/ping", "/health_generate"})
    EXPECT_EQ(ask(server.port(), get(path))->status, 200) << path;
  EXPECT_EQ(ask(server.port(), get("/models"))->body, ask(server.port(), get("/v1/models"))->body);
  EXPECT_EQ(ask(server.port(), post("/flush_cache", ""))->status, 200);
  EXPECT_EQ(server.engine().num_cache_resets(), 1);
  EXPECT_EQ(ask(server.port(), get("/flush_cache"))->status, 405);
}

TEST(ApiIndex, EveryRouteIsInItWithItsWords) {
  server::Service service{server::ServiceOptions{}};
  const auto table = server::routes(service);
  const auto parsed = json::parse(server::openapi_json(table));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->at("openapi"), "3.1.0");
  std::set<std::string> ids;
  size_t num_operations = 0;
  for (const http::Route& route : table) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const json::Value& operation = parsed->at("paths").at(route.path).at(method);
    EXPECT_FALSE(operation.at("summary").as_string().empty())
        << route.path << ": say in api_index.cpp what it does";
    ids.insert(operation.at("operationId").as_string().c_str());
    ++num_operations;
  }
  EXPECT_EQ(ids.size(), num_operations);
  const json::Value& schema =
      parsed->at_pointer("/paths/~1v1~1completions/post/requestBody/content/application~1json/schema");
  EXPECT_EQ(schema.at("required").at(0), "prompt");
  EXPECT_EQ(schema.at("properties").at("temperature").at("type"), "number");
  EXPECT_EQ(parsed->at_pointer("/paths/~1v1~1models~1{id}/get/parameters/0/name"), "id");
}

TEST(ApiIndex, EveryRouteIsInTheDocumentation) {
  std::ifstream file(std::string(PEGA_SOURCE_DIR) + "/docs/api.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  server::Service service{server::ServiceOptions{}};
  for (const http::Route& route : server::routes(service)) {
    const bool in_heading = text.find(route.path + "\n") != std::string::npos ||
                            text.find(" " + route.path + ",") != std::string::npos;
    EXPECT_TRUE(in_heading || text.find("`" + route.path + "`") != std::string::npos) << route.path;
  }
}

// Whatever else takes POST changes the server for everyone.
TEST(ApiIndex, WhatChangesTheServerIsTheAdministrators) {
  const std::set<std::string> harmless = {"/v1/completions",   "/v1/chat/completions",
                                          "/chat/completions", "/v1/chat/completions/render",
                                          "/apply-template",   "/tokenize",
                                          "/detokenize"};
  const std::set<std::string> open = {"/livez", "/readyz"};
  server::Service service{server::ServiceOptions{}};
  for (const http::Route& route : server::routes(service)) {
    const bool changes = route.method != "GET" && !harmless.contains(route.path);
    EXPECT_EQ(route.access == http::Access::kAdmin, changes) << route.path;
    EXPECT_EQ(route.access == http::Access::kOpen, open.contains(route.path)) << route.path;
  }
}

TEST(ApiIndex, IsServed) {
  TestServer server;
  const auto text = ask(server.port(), get("/"));
  EXPECT_EQ(text->headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_THAT(text->body, HasSubstr("POST /v1/completions"));
  EXPECT_THAT(text->body, HasSubstr("GET  /props"));
  const auto page = ask(server.port(), get("/docs"));
  EXPECT_EQ(page->headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(page->body, HasSubstr("<code>/v1/completions</code>"));
  EXPECT_EQ(page->body.find("src="), std::string::npos);  // nothing is fetched from anywhere
  EXPECT_TRUE(json::parse(ask(server.port(), get("/openapi.json"))->body));
}

}  // namespace
}  // namespace pegainfer::testing
