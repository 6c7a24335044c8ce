#include "server/test_server.h"

#include <future>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "server/http_client.h"
#include "server/routes.h"

namespace pegainfer::testing {

TestServer::TestServer(TestServerOptions options)
    : engine_(std::make_shared<FakeEngine>(std::move(options.engine))),
      tokenizer_(std::make_shared<FakeTokenizer>(std::move(options.tokenizer))),
      defaults_(options.defaults),
      chat_(std::make_shared<const chat::ChatModel>(std::move(options.chat))),
      names_(std::move(options.names)),
      service_(options.service, load_status_) {
  set_log_level(LogLevel::kError);
  options.http.port = 0;
  auto server = http::HttpServer::listen(options.http, http::Router(server::routes(service_)));
  CHECK(server.has_value(), "{}", server.error().message);
  server_ = *std::move(server);
  service_.attach(server_->poster());
  service_.set_watching(std::move(options.watching));
  thread_ = std::jthread([this] { server_->run(); });
  if (options.loaded) load();
}

TestServer::~TestServer() {
  server_->stop();
  thread_.join();
}

void TestServer::load() {
  on_server_thread([this](http::HttpServer&, server::Service& service) {
    service.set_model({.engine = engine_,
                       .tokenizer = tokenizer_,
                       .chat = chat_,
                       .defaults = defaults_,
                       .names = names_,
                       .created = 1700000000});
  });
}

void TestServer::on_server_thread(const std::function<void(http::HttpServer&, server::Service&)>& work) {
  std::promise<void> done;
  server_->poster().post([&] {
    work(*server_, service_);
    done.set_value();
  });
  done.get_future().wait();
}

bool TestServer::canary() const {
  const auto answer = ask(port(), get("/livez"));
  return answer && answer->status == 200 && answer->body == R"({"status":"ok"})";
}

}  // namespace pegainfer::testing
