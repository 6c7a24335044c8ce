// What systemd is told of a service of Type=notify: sd_notify(3) without its library.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace pegainfer::apps {

class ServiceManager {
 public:
  // By $NOTIFY_SOCKET and $WATCHDOG_USEC (and $WATCHDOG_PID); without them nothing is ever sent.
  static ServiceManager from_environment();
  explicit ServiceManager(std::string socket_path) : socket_(std::move(socket_path)) {}

  [[nodiscard]] bool present() const { return !socket_.empty(); }
  // Half of what the manager waits for a sign of life; none: it does not wait for one.
  [[nodiscard]] std::optional<std::chrono::milliseconds> alive_interval() const { return alive_interval_; }

  void ready(std::string_view status) const;
  void alive() const { send("WATCHDOG=1"); }
  void stopping() const { send("STOPPING=1"); }

 private:
  void send(const std::string& message) const;

  std::string socket_;  // "@name" is an abstract one
  std::optional<std::chrono::milliseconds> alive_interval_;
};

}  // namespace pegainfer::apps
