// The measuring client against a real server.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
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

// A server of one thread that says what it is told: of each connection, one answer a request; with the next
// request after those it closes.
class ScriptedServer {
 public:
  using Answers = std::vector<std::string>;
  explicit ScriptedServer(std::vector<Answers> connections) : connections_(std::move(connections)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener_, 8) == 0 &&
              getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "no port to listen on");
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] {
      for (const Answers& answers : connections_) serve(accept(listener_, nullptr, nullptr), answers);
    });
  }
  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);  // accepts that are still waited for
    thread_.join();
    close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  static void serve(int fd, const Answers& answers) {
    if (fd < 0) return;
    for (const std::string& answer : answers) {
      if (!read_request(fd)) break;
      CHECK(send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(answer.size()),
            "the client has left");
    }
    // An answer that breaks off does so at once.
    if (answers.empty() || answers.back().ends_with("[DONE]\n\n")) read_request(fd);
    close(fd);
  }
  // The bodies of this file end with "}}" and nothing else in a request does.
  static bool read_request(int fd) {
    std::string bytes;
    std::array<char, 4096> buffer{};
    while (!bytes.ends_with("}}")) {
      const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) return false;
      bytes.append(buffer.data(), static_cast<size_t>(n));
    }
    return true;
  }

  std::vector<Answers> connections_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::jthread thread_;
};

std::string stream_of_one_token(const std::string& text) {
  const std::string body = R"(data: {"choices":[{"text":")" + text +
                           R"(","finish_reason":"stop"}]})"
                           "\n\ndata: [DONE]\n\n";
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

LoadResult load_one_by_one(const ScriptedServer& server, size_t count) {
  LoadOptions options;
  options.server.port = server.port();
  options.keep_text = true;
  options.max_concurrency = 1;
  options.timeout_s = 20;
  options.body = [](size_t) { return R"({"stream_options":{"include_usage":true}})"; };
  return *run_load(options, std::vector<LoadRequest>(count));
}

// A server may close an idle connection just when the next request is on its way.
TEST(LoadClient, AConnectionClosedBetweenRequestsIsReplacedOnce) {
  const ScriptedServer server(
      {{stream_of_one_token("a")}, {stream_of_one_token("b"), stream_of_one_token("c")}});
  const LoadResult result = load_one_by_one(server, 3);
  for (const RequestOutcome& o : result.outcomes) EXPECT_TRUE(o.success) << o.error;
  EXPECT_EQ(result.outcomes[0].text + result.outcomes[1].text + result.outcomes[2].text, "abc");
}

// One that closes on a fresh connection, or within an answer, has failed the request: it is not sent again.
TEST(LoadClient, OtherLostConnectionsAreFailures) {
  const ScriptedServer fresh({{}, {stream_of_one_token("b")}});
  const LoadResult first = load_one_by_one(fresh, 2);
  EXPECT_FALSE(first.outcomes[0].success);
  EXPECT_THAT(first.outcomes[0].error, HasSubstr("connection lost"));
  EXPECT_EQ(first.outcomes[1].text, "b");

  const std::string whole = stream_of_one_token("b");
  const ScriptedServer within({{stream_of_one_token("a"), whole.substr(0, whole.size() - 9)}, {whole}});
  const LoadResult second = load_one_by_one(within, 3);
  EXPECT_TRUE(second.outcomes[0].success);
  EXPECT_FALSE(second.outcomes[1].success);
  EXPECT_TRUE(second.outcomes[2].success);
  const ScriptedServer twice({{stream_of_one_token("a")}, {}, {stream_of_one_token("c")}});
  const LoadResult third = load_one_by_one(twice, 3);
  EXPECT_FALSE(third.outcomes[1].success);  // the fresh one was closed, too
  EXPECT_EQ(third.outcomes[2].text, "c");
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
