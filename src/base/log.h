// Logging: LOG_INFO("loaded {} tensors in {:.2f} s", n, s). To standard error; the sink is spdlog's, hidden
// in log.cpp. Prompts, outputs and keys are never logged.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace pegainfer {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError, kOff };

void set_log_level(LogLevel level);
[[nodiscard]] bool log_enabled(LogLevel level);
// Control bytes in `message` are escaped, so that nothing a client sends can forge a line.
void log_line(LogLevel level, std::string_view message);

}  // namespace pegainfer

#define PEGA_LOG(level, ...)                                                                     \
  do {                                                                                           \
    if (::pegainfer::log_enabled(level)) ::pegainfer::log_line(level, fmt::format(__VA_ARGS__)); \
  } while (false)
#define LOG_DEBUG(...) PEGA_LOG(::pegainfer::LogLevel::kDebug, __VA_ARGS__)
#define LOG_INFO(...) PEGA_LOG(::pegainfer::LogLevel::kInfo, __VA_ARGS__)
#define LOG_WARN(...) PEGA_LOG(::pegainfer::LogLevel::kWarn, __VA_ARGS__)
#define LOG_ERROR(...) PEGA_LOG(::pegainfer::LogLevel::kError, __VA_ARGS__)
