// The line of figures that operators grep the log for, in vLLM's words: every ten seconds while there is
// work, once more when it has ended, and not at all while nothing happens.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "pegainfer/engine.h"

namespace pegainfer::metrics {

// Makes the line out of two looks at the engine.
class StatsLine {
 public:
  // `device`: "GPU " or "", as in "GPU KV cache usage".
  StatsLine(std::string device, const EngineStats& stats, TimePoint now)
      : device_(std::move(device)), last_(stats), last_time_(now) {}

  // The line for the time since the last call, or nothing.
  std::optional<std::string> next(const EngineStats& stats, TimePoint now);

 private:
  std::string device_;
  EngineStats last_;
  TimePoint last_time_;
  bool quiet_ = true;  // the line of rest has been written
};

// Logs the lines from a thread of its own, until it is destroyed.
class StatsLogger {
 public:
  struct Options {
    std::chrono::milliseconds interval{10'000};
    std::string device;
    std::function<void(const std::string& line)> write;  // empty: LOG_INFO
  };
  StatsLogger(std::weak_ptr<const Engine> engine, Options options);

 private:
  std::jthread thread_;
};

}  // namespace pegainfer::metrics
