// Profiler: starts and stops a trace and puts it into a folder as a file. What POST /start_profile and
// /stop_profile call, and --trace-dir.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "pegainfer/result.h"
#include "trace/chrome_trace.h"

namespace pegainfer::trace {

// Thread-safe.
class Profiler {
 public:
  // `folder` is made when it is missing; an error when that fails or nothing can be written there.
  static Result<std::unique_ptr<Profiler>> create(std::shared_ptr<ChromeTrace> trace, std::string folder);
  // A trace that is on is written; a failure is logged.
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void set_model_name(std::string name);
  // Error type "profile_running" when one is on already.
  Status start();
  // The file's path. Error type "profile_not_running" when none is on. Writing a long trace takes about a
  // second for 100 MB: not on a thread that others wait for.
  Result<std::string> stop();

 private:
  Profiler(std::shared_ptr<ChromeTrace> trace, std::string folder)
      : trace_(std::move(trace)), folder_(std::move(folder)) {}

  const std::shared_ptr<ChromeTrace> trace_;
  const std::string folder_;
  std::mutex mutex_;  // of what follows
  std::string model_name_;
  int num_written_ = 0;
};

}  // namespace pegainfer::trace
