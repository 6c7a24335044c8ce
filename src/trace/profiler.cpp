#include "trace/profiler.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "trace/trace_writer.h"

namespace pegainfer::trace {

Result<std::unique_ptr<Profiler>> Profiler::create(std::shared_ptr<ChromeTrace> trace, std::string folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && !std::filesystem::is_directory(folder, error) && !error)
    error = std::make_error_code(std::errc::not_a_directory);
  if (!error && access(folder.c_str(), W_OK | X_OK) != 0) error = {errno, std::generic_category()};
  if (error) {
    return invalid_argument(
        fmt::format("--trace-dir {}: {}; it must be a folder to write to, or one that can "
                    "be made",
                    folder, error.message()),
        "--trace-dir");
  }
  return std::unique_ptr<Profiler>(new Profiler(std::move(trace), std::move(folder)));
}

Profiler::~Profiler() {
  if (!trace_->on()) return;
  const auto path = stop();
  if (path) {
    LOG_INFO("trace written: {}", *path);
  } else {
    LOG_ERROR("the trace is lost: {}", path.error().message);
  }
}

void Profiler::set_model_name(std::string name) {
  const std::lock_guard lock(mutex_);
  model_name_ = std::move(name);
}

Status Profiler::start() {
  if (trace_->start()) return ok_status();
  return invalid_argument("A profile is running already; POST /stop_profile ends it.", {}, "profile_running");
}

Result<std::string> Profiler::stop() {
  std::optional<TraceData> data = trace_->stop();
  if (!data) {
    return invalid_argument("No profile is running; POST /start_profile begins one.", {},
                            "profile_not_running");
  }
  const std::lock_guard lock(mutex_);
  const std::time_t began = std::chrono::system_clock::to_time_t(data->began_at);
  const std::string path = fmt::format("{}/pegainfer-{:%Y%m%d-%H%M%S}-{}-{}.trace.json", folder_,
                                       fmt::gmtime(began), getpid(), ++num_written_);
  RETURN_IF_ERROR(write_file(*data, model_name_, path));
  return path;
}

}  // namespace pegainfer::trace
