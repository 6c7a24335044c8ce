// Many clients in one thread: streams that are read to their end and checked, and others that leave, reset
// their connection or stop reading in the middle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pegainfer::load {

struct ClientOptions {
  uint16_t port = 0;
  int streams = 512;      // at the same time
  double seconds = 30;    // no new ones after it
  uint64_t requests = 0;  // no more than these in all; 0: no limit
  int min_tokens = 1;     // of an answer
  int max_tokens = 64;
  double cancel = 0.3;  // shares of all streams
  double reset = 0.1;
  double stall = 0.05;
  int stalled_tokens = 8000;  // what one asks for that will not read it
  double stall_seconds = 5;
  uint64_t seed = 1;
  bool probe = true;                                                 // asks /livez twenty times a second
  std::function<void(double seconds, uint64_t finished)> on_second;  // once a second
};

struct ClientReport {
  uint64_t started = 0, completed = 0, cancelled = 0, reset = 0, stalled = 0, refused = 0;
  uint64_t stalled_cut = 0;  // of the stalled: dropped by the server
  uint64_t events = 0;       // frames of completed streams
  double seconds = 0;
  std::vector<double> livez_seconds;
  std::vector<std::string> wrong;  // the first few things that must not happen
  uint64_t num_wrong = 0;
};

ClientReport run_clients(const ClientOptions& options);

// One request, read to its end; "" when its answer is as it must be.
std::string canary(uint16_t port);

}  // namespace pegainfer::load
