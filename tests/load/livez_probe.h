// LivezProbe: how long /livez takes while a server is under load, asked twenty times a second on a thread of
// its own, so that it is the server's time and not that of a client busy with its streams.
#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace pegainfer::load {

class LivezProbe {
 public:
  // Begins at once.
  explicit LivezProbe(uint16_t port);

  // Ends it; nothing else is called before.
  void stop();
  // From the connection's beginning to the answer's end.
  [[nodiscard]] const std::vector<double>& seconds() const { return seconds_; }
  [[nodiscard]] const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void run(const std::stop_token& stop, uint16_t port);

  std::vector<double> seconds_;
  std::vector<std::string> wrong_;
  std::jthread thread_;
};

}  // namespace pegainfer::load
