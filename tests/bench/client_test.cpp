// The measuring client against a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/load_client.h"
#include "server/test_server.h"

namespace pegainfer::bench {
namespace {

using pegainfer::testing::TestServer;
using pegainfer::testing::TestServerOptions;
using ::testing::HasSubstr;

LoadOptions options_for(const TestServer& server) {
  LoadOptions options;
  options.server.port = server.port();
  options.keep_text = true;
  options.timeout_s = 20;
  options.body = [](size_t i) {
    return R"({"prompt":"number )" + std::to_string(i) +
           R"(","stream":true,"stream_options":{"include_usage":true}})";
  };
  return options;
}

TEST(LoadClient, EveryRequestIsAnsweredAndTimed) {
  TestServer server;
  size_t told = 0;
  LoadOptions options = options_for(server);
  options.max_concurrency = 3;
  options.on_done = [&](size_t done) { told = done; };
  const auto result = run_load(options, std::vector<LoadRequest>(20));
  ASSERT_TRUE(result);
  ASSERT_EQ(result->outcomes.size(), 20U);
  for (const RequestOutcome& o : result->outcomes) {
    EXPECT_TRUE(o.success) << o.error;
    EXPECT_EQ(o.text, "Hello from the f");  // 16 tokens, one a byte
    EXPECT_GT(o.ttft, 0);
    EXPECT_GE(o.latency, o.ttft);
    EXPECT_EQ(static_cast<int>(o.itls.size()), o.output_len - 1);
  }
  EXPECT_EQ(told, 20U);
  EXPECT_EQ(server.engine().submitted().size(), 20U);
}

TEST(LoadClient, RefusalsAndUnreachableServersAreOutcomes) {
  TestServer server;
  server.engine().refuse_reservations(resource_exhausted("The queue is full", "queue_full"));
  const auto refused = run_load(options_for(server), std::vector<LoadRequest>(3));
  ASSERT_TRUE(refused);
  for (const RequestOutcome& o : refused->outcomes) {
    EXPECT_FALSE(o.success);
    EXPECT_THAT(o.error, HasSubstr("429"));
  }
  LoadOptions nobody = options_for(server);
  nobody.server.port = 1;  // nothing listens there
  const auto unreachable = run_load(nobody, std::vector<LoadRequest>(2));
  ASSERT_TRUE(unreachable);
  for (const RequestOutcome& o : unreachable->outcomes) {
    EXPECT_FALSE(o.success);
    EXPECT_FALSE(o.error.empty());
  }
}

TEST(LoadClient, AStreamThatBreaksOffIsAFailure) {
  TestServerOptions options;
  options.engine.manual = true;
  TestServer server(std::move(options));
  LoadOptions load = options_for(server);
  load.timeout_s = 0.5;
  const auto result = run_load(load, std::vector<LoadRequest>(1));
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->outcomes[0].success);
  EXPECT_TRUE(server.engine().wait_cancelled(1));
}

TEST(LoadClient, Urls) {
  const auto url = parse_url("http://localhost:1234/prefix");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "localhost");
  EXPECT_EQ(url->port, 1234);
  EXPECT_EQ(url->base_path, "/prefix");
  EXPECT_FALSE(parse_url("https://localhost"));
  EXPECT_FALSE(parse_url("http://localhost:99999"));
  EXPECT_FALSE(parse_url("localhost"));
}

}  // namespace
}  // namespace pegainfer::bench
