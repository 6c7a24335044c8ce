// A real server on a free port of the loopback interface, with a FakeEngine behind it.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "pegainfer/result.h"
#include "server/http/options.h"
#include "server/http/server.h"
#include "server/service.h"
#include "support/fake_chat.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::testing {

struct TestServerOptions {
  FakeEngineOptions engine = {};
  FakeTokenizerOptions tokenizer = {};
  http::Options http = {};
  server::ServiceOptions service = {};
  openai::SamplingDefaults defaults = {};
  chat::ChatModel chat = fake_chat_model();
  std::vector<std::string> names = {"fake-model", "second-name"};
  server::Watching watching = {};
  bool loaded = true;  // false: still loading until load() is called
};

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  [[nodiscard]] uint16_t port() const { return server_->port(); }
  FakeEngine& engine() { return *engine_; }
  server::LoadStatus& load_status() { return *load_status_; }
  void load();
  // Runs on the server's thread and waits for it.
  void on_server_thread(const std::function<void(http::HttpServer&, server::Service&)>& work);

  // A plain request that must work whatever happened before; true when it does.
  [[nodiscard]] bool canary() const;

 private:
  std::shared_ptr<FakeEngine> engine_;
  std::shared_ptr<const FakeTokenizer> tokenizer_;
  openai::SamplingDefaults defaults_;
  std::shared_ptr<const chat::ChatModel> chat_;
  std::vector<std::string> names_;
  std::shared_ptr<server::LoadStatus> load_status_ = std::make_shared<server::LoadStatus>();
  server::Service service_;
  std::unique_ptr<http::HttpServer> server_;
  std::jthread thread_;
};

}  // namespace pegainfer::testing
