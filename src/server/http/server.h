// HTTP/1.1 on one thread: sockets, framing, limits, routes. What it serves is in the handlers; they run on
// the server's thread and must not block it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pegainfer/result.h"
#include "server/http/options.h"
#include "server/http/router.h"

namespace pegainfer::http {

// Runs closures on the server's thread. A copy may be kept by any thread, for as long as it likes: after the
// server has gone the closures are destroyed unrun.
class Poster {
 public:
  struct Queue;
  explicit Poster(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
  // Any thread. Posts made before the server's thread gets to run cost one wake-up together.
  void post(std::function<void()> work) const;

 private:
  std::shared_ptr<Queue> queue_;
};

class HttpServer {
 public:
  // Binds and listens; connections are accepted from now on and answered once run() is called.
  static Result<std::unique_ptr<HttpServer>> listen(Options options, Router router);
  ~HttpServer();

  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] std::string url() const;  // "http://127.0.0.1:8000", "https://...", "unix:/path"
  [[nodiscard]] Poster poster() const;

  void run();   // serves until stop(); the calling thread is "the server's thread"
  void stop();  // any thread; open connections are dropped

  // On the server's thread:
  // Stops accepting and closes what is idle; requests under way finish, then `done` is called.
  void drain(std::function<void()> done);
  // Drops every connection; their on_disconnect callbacks run.
  void abort_all();
  void after(std::chrono::milliseconds delay, std::function<void()> work);
  void on_signals(const std::vector<int>& signals, std::function<void(int)> handler);
  // Reads certificate and key again, for the connections to come; without TLS nothing happens.
  Status reload_tls();
  [[nodiscard]] size_t num_connections() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pegainfer::http
