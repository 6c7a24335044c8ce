// The life of a whole server: open while loading, ready, draining, ended.
#include "server/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>
#include <optional>
#include <thread>

#include "base/log.h"
#include "server/http_client.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::server {
namespace {

using std::chrono::milliseconds;
using testing::FakeEngine;
using testing::FakeTokenizer;
using ::testing::HasSubstr;
using testing::HttpClient;

// An app on a thread, whose loading ends when the test says so.
class RunningApp {
 public:
  explicit RunningApp(testing::FakeEngineOptions engine = {},
                      milliseconds shutdown_timeout = milliseconds(10'000))
      : engine_(std::make_shared<FakeEngine>(std::move(engine))) {
    set_log_level(LogLevel::kOff);
    AppOptions options;
    options.http.port = 0;
    options.http.timeouts.linger = milliseconds(100);
    options.shutdown_timeout = shutdown_timeout;
    options.on_listening = [this](const std::string& url) { url_.set_value(url); };
    thread_ = std::jthread(
        [this, options] { result_ = run_app(options, [this](const LoadContext& c) { return load(c); }); });
    const std::string url = url_.get_future().get();
    port_ = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  ~RunningApp() {
    if (!loaded_) finish_loading();
    if (thread_.joinable()) {
      wait_ready();
      signal();
      thread_.join();
    }
  }
  RunningApp(const RunningApp&) = delete;
  RunningApp& operator=(const RunningApp&) = delete;

  void finish_loading(std::optional<Error> error = std::nullopt) {
    loaded_ = true;
    load_error_ = std::move(error);
    may_load_.set_value();
  }
  void wait_ready() const {
    for (int i = 0; i < 1000; ++i) {
      if (status("/readyz") == 200) return;
      std::this_thread::sleep_for(milliseconds(5));
    }
    ADD_FAILURE() << "never ready";
  }
  static void signal() { ::kill(::getpid(), SIGTERM); }
  Status join() {
    thread_.join();
    return *result_;
  }

  [[nodiscard]] int status(const char* path) const {
    const auto answer = testing::ask(port_, testing::get(path));
    return answer ? answer->status : 0;
  }
  [[nodiscard]] uint16_t port() const { return port_; }
  FakeEngine& engine() { return *engine_; }
  LoadContext context() { return context_.get_future().get(); }  // once

 private:
  Result<ServedModel> load(const LoadContext& context) {
    context_.set_value(context);
    context.status.bytes_total = 1000;
    context.status.bytes_done = 420;
    may_load_.get_future().wait();
    if (load_error_) return *load_error_;
    return ServedModel{.engine = engine_, .tokenizer = std::make_shared<FakeTokenizer>(), .names = {"m"}};
  }

  std::shared_ptr<FakeEngine> engine_;
  std::promise<std::string> url_;
  std::promise<void> may_load_;
  std::promise<LoadContext> context_;
  std::optional<Error> load_error_;
  std::optional<Status> result_;
  uint16_t port_ = 0;
  bool loaded_ = false;
  std::jthread thread_;
};

TEST(App, AnswersWhileLoadingAndThenServes) {
  RunningApp app;
  EXPECT_EQ(app.status("/livez"), 200);
  EXPECT_EQ(app.status("/readyz"), 503);
  std::optional<testing::HttpAnswer> health;
  for (int i = 0; i < 200; ++i) {  // the loader may not have said a number yet
    health = testing::ask(app.port(), testing::get("/health"));
    if (health->body.find('%') != std::string::npos) break;
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(health->status, 503);
  EXPECT_THAT(health->body, HasSubstr("42%"));
  app.finish_loading();
  app.wait_ready();
  EXPECT_EQ(testing::ask(app.port(), testing::post("/v1/completions", R"({"prompt":"a"})"))->status, 200);
  app.signal();
  EXPECT_TRUE(app.join());
}

TEST(App, FailedLoadingEndsItWithTheError) {
  RunningApp app;
  app.finish_loading(resource_exhausted("does not fit"));
  const Status status = app.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kResourceExhausted);
  EXPECT_EQ(status.error().message, "does not fit");
}

TEST(App, RequestsUnderWayFinishAfterASignal) {
  RunningApp app({.manual = true});
  app.finish_loading();
  app.wait_ready();
  HttpClient client(app.port());
  client.send(testing::post("/v1/completions", R"({"prompt":"a","max_tokens":3,"stream":true})"));
  ASSERT_TRUE(app.engine().wait_submitted(1));
  app.engine().step(1);
  ASSERT_TRUE(client.read_until("data: "));
  app.signal();
  std::this_thread::sleep_for(milliseconds(100));
  app.engine().step(2);
  EXPECT_TRUE(client.read_until("data: [DONE]"));
  client.close();
  EXPECT_TRUE(app.join());
  EXPECT_TRUE(app.engine().cancelled().empty());
}

TEST(App, RequestsThatDoNotFinishInTimeAreTold) {
  RunningApp app({.manual = true}, milliseconds(200));
  app.finish_loading();
  app.wait_ready();
  HttpClient client(app.port());
  client.send(testing::post("/v1/completions", R"({"prompt":"a","max_tokens":3})"));
  ASSERT_TRUE(app.engine().wait_submitted(1));
  app.signal();
  const auto answer = client.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("server_shutting_down"));
  client.close();
  EXPECT_TRUE(app.join());
}

TEST(App, SecondSignalEndsItAtOnce) {
  RunningApp app({.manual = true}, milliseconds(60'000));
  app.finish_loading();
  app.wait_ready();
  HttpClient client(app.port());
  client.send(testing::post("/v1/completions", R"({"prompt":"a","max_tokens":3,"stream":true})"));
  ASSERT_TRUE(app.engine().wait_submitted(1));
  app.signal();
  std::this_thread::sleep_for(milliseconds(100));
  const auto start = std::chrono::steady_clock::now();
  app.signal();
  EXPECT_TRUE(app.join());
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(3'000));
  EXPECT_TRUE(client.closed_within(milliseconds(1'000)));
}

TEST(App, DeadEngineEndsItAfterEveryClientWasTold) {
  RunningApp app({.manual = true});
  app.finish_loading();
  app.wait_ready();
  HttpClient client(app.port());
  client.send(testing::post("/v1/completions", R"({"prompt":"a","max_tokens":3})"));
  ASSERT_TRUE(app.engine().wait_submitted(1));
  app.engine().kill("the device is gone");
  app.context().on_dead("the device is gone");
  EXPECT_EQ(client.read_answer()->status, 500);
  client.close();
  const Status status = app.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInternal);
  EXPECT_THAT(status.error().message, HasSubstr("the device is gone"));
}

TEST(App, TakenPortIsAnErrorBeforeAnythingIsLoaded) {
  RunningApp app;
  AppOptions options;
  options.http.port = app.port();
  bool loaded = false;
  const Status status = run_app(options, [&](const LoadContext&) -> Result<ServedModel> {
    loaded = true;
    return internal_error("not reached");
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
  EXPECT_FALSE(loaded);
}

// Says that it is stuck when it is told to.
class StuckEngine final : public Engine {
 public:
  Result<std::unique_ptr<Admission>> reserve(int64_t num_tokens) override {
    return inner_.reserve(num_tokens);
  }
  uint64_t new_group() override { return inner_.new_group(); }
  Result<RequestId> submit(GenerateRequest request) override { return inner_.submit(std::move(request)); }
  void cancel(RequestId id) override { inner_.cancel(id); }
  void reset_prefix_cache() override { inner_.reset_prefix_cache(); }
  [[nodiscard]] const EngineInfo& info() const override { return inner_.info(); }
  [[nodiscard]] EngineStats stats() const override {
    EngineStats stats = inner_.stats();
    if (stuck) stats.seconds_since_progress = 3600;
    return stats;
  }
  void shutdown(std::chrono::steady_clock::time_point deadline) override { inner_.shutdown(deadline); }

  std::atomic<bool> stuck{false};

 private:
  FakeEngine inner_;
};

TEST(App, TellsItsStarterWhenItIsReadyAndThatTheEngineGoesOn) {
  set_log_level(LogLevel::kOff);
  const auto engine = std::make_shared<StuckEngine>();
  std::promise<std::string> ready;
  std::atomic<int> num_alive{0};
  std::atomic<bool> shutting_down{false};
  AppOptions options;
  options.http.port = 0;
  options.lifecycle = {
      .on_ready = [&](const ServedModel& m, const std::string& url) { ready.set_value(m.names[0] + url); },
      .on_shutdown = [&] { shutting_down = true; },
      .on_alive = [&] { ++num_alive; },
      .alive_interval = milliseconds(5)};
  std::jthread server([&] {
    EXPECT_TRUE(run_app(options, [&](const LoadContext&) -> Result<ServedModel> {
      return ServedModel{.engine = engine, .tokenizer = std::make_shared<FakeTokenizer>(), .names = {"m"}};
    }));
  });
  EXPECT_THAT(ready.get_future().get(), HasSubstr("mhttp://127.0.0.1:"));
  const auto wait_for = [&num_alive](int count) {
    for (int i = 0; i < 2000 && num_alive < count; ++i) std::this_thread::sleep_for(milliseconds(5));
    return num_alive >= count;
  };
  EXPECT_TRUE(wait_for(3));
  engine->stuck = true;
  std::this_thread::sleep_for(milliseconds(50));  // one that was under way
  const int before = num_alive;
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(num_alive, before);
  engine->stuck = false;
  EXPECT_TRUE(wait_for(before + 3));
  EXPECT_FALSE(shutting_down);
  RunningApp::signal();
  server.join();
  EXPECT_TRUE(shutting_down);
}

}  // namespace
}  // namespace pegainfer::server
