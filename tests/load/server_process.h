// A server over SimEngine in a process of its own, so that its memory and descriptors can be watched apart
// from those of its clients.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace pegainfer::load {

struct ServerOptions {
  double step_seconds = 0;  // how long a step takes
  int max_num_seqs = 256;
  int max_queued_requests = 0;  // 0: no limit
  int num_kv_blocks = 4096;
  double write_stall_seconds = 30;
};

class ServerProcess {
 public:
  // Forks: call it before the process has a second thread. Aborts when the server does not come up.
  explicit ServerProcess(const ServerOptions& options);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] size_t rss_bytes() const;
  [[nodiscard]] size_t num_descriptors() const;

  // Sends SIGTERM and waits. What the server found wrong with itself is its exit code: 0: nothing, see
  // server_process.cpp.
  int stop();

 private:
  pid_t pid_ = -1;
  uint16_t port_ = 0;
};

}  // namespace pegainfer::load
