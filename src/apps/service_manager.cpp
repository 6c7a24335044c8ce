#include "apps/service_manager.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "base/environment.h"
#include "base/log.h"

namespace pegainfer::apps {
namespace {

std::string variable(const char* name) { return environment(name).value_or(""); }

std::optional<int64_t> number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager(variable("NOTIFY_SOCKET"));
  const auto pid = variable("WATCHDOG_PID");
  if (!pid.empty() && number(pid) != int64_t{getpid()}) return manager;  // meant for another process
  if (const auto micros = number(variable("WATCHDOG_USEC")); micros && manager.present())
    manager.alive_interval_ = std::chrono::milliseconds(std::max<int64_t>(*micros / 2000, 1));
  return manager;
}

void ServiceManager::ready(std::string_view status) const { send(fmt::format("READY=1\nSTATUS={}", status)); }

void ServiceManager::send(const std::string& message) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // The server's thread must not wait for a manager that does not read.
  const ssize_t sent = sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&address), size);
  if (sent < 0) LOG_WARN("the service manager cannot be told: {}", std::strerror(errno));
  close(descriptor);
}

}  // namespace pegainfer::apps
