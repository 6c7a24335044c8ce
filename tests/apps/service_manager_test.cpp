// What systemd is told, by a socket that stands for its own.
#include "apps/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace pegainfer::apps {
namespace {

struct Socket {
  explicit Socket(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0;
  }
  ~Socket() { close(descriptor); }
  [[nodiscard]] std::string receive() const {
    char buffer[256];
    const ssize_t size = recv(descriptor, buffer, sizeof buffer, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(buffer, static_cast<size_t>(size));
  }
  int descriptor = -1;
  bool bound = false;
};

TEST(ServiceManager, TellsAFileSocketAndAnAbstractOne) {
  const std::string file = testing::TempDir() + "notify." + std::to_string(getpid());
  unlink(file.c_str());
  for (const std::string& name : {file, "@pegainfer-test-" + std::to_string(getpid())}) {
    const Socket socket(name);
    ASSERT_TRUE(socket.bound) << name;
    const ServiceManager manager(name);
    manager.ready("serving m");
    EXPECT_EQ(socket.receive(), "READY=1\nSTATUS=serving m");
    manager.alive();
    EXPECT_EQ(socket.receive(), "WATCHDOG=1");
    manager.stopping();
    EXPECT_EQ(socket.receive(), "STOPPING=1");
    EXPECT_EQ(socket.receive(), "");
  }
  unlink(file.c_str());
}

TEST(ServiceManager, EnvironmentDecides) {
  const auto read = [](const char* socket, const char* micros, const std::string& pid) {
    setenv("NOTIFY_SOCKET", socket, 1);
    setenv("WATCHDOG_USEC", micros, 1);
    setenv("WATCHDOG_PID", pid.c_str(), 1);
    return ServiceManager::from_environment();
  };
  const std::string self = std::to_string(getpid());
  EXPECT_EQ(read("/x", "120000000", self).alive_interval(), std::chrono::milliseconds(60'000));
  EXPECT_EQ(read("/x", "120000000", "1").alive_interval(), std::nullopt);
  EXPECT_EQ(read("/x", "soon", self).alive_interval(), std::nullopt);
  EXPECT_EQ(read("", "120000000", self).alive_interval(), std::nullopt);
  EXPECT_FALSE(read("", "", "").present());
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  const ServiceManager nobody("/no/such/socket");  // a warning, and life goes on
  nobody.alive();
}

}  // namespace
}  // namespace pegainfer::apps
