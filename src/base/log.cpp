#include "base/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>

#include "base/json.h"
#include "base/log_event.h"
#include "base/utf8.h"

namespace pegainfer {
namespace {

std::atomic<bool> json_lines{false};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

constexpr const char* kTextPattern = "%Y-%m-%d %H:%M:%S.%e %^%-5l%$ %v";

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto l = std::make_shared<spdlog::logger>("pegainfer",
                                              std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    l->set_pattern(kTextPattern);
    l->flush_on(spdlog::level::info);
    return l;
  }();
  return *instance;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
    case LogLevel::kOff: break;
  }
  return "off";
}

// Of a well-formed character of two or three bytes: one that changes how what follows is shown, or ends a
// line.
bool is_deceptive(std::string_view c) {
  if (c.size() == 2) return c[0] == '\xc2' && static_cast<unsigned char>(c[1]) < 0xa0;  // C1
  if (c.size() != 3 || c[0] != '\xe2') return false;
  const auto second = static_cast<unsigned char>(c[1]);
  const auto third = static_cast<unsigned char>(c[2]);
  if (second == 0x80) return third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae);
  return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

void append_value(std::string& out, const LogField& field) {
  if (const auto* text = std::get_if<std::string_view>(&field.value))
    return json::append_string(out, escape_log_text(*text));
  if (const auto* number = std::get_if<int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
    return;
  }
  const double number = std::get<double>(field.value);
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{:.6g}", number);
  } else {
    out += "null";
  }
}

std::string json_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(now);
  std::string out = fmt::format(R"({{"ts":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","msg":)",
                                fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                                (now - seconds).count(), level_name(level));
  json::append_string(out, message);
  for (const LogField& field : fields) {
    out += ',';
    json::append_string(out, field.name);
    out += ':';
    append_value(out, field);
  }
  return out + '}';
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }
bool log_enabled(LogLevel level) { return logger().should_log(to_spdlog(level)); }

void set_log_format(LogFormat format) {
  json_lines = format == LogFormat::kJson;
  logger().set_pattern(json_lines ? "%v" : kTextPattern);
}

bool logs_json() { return json_lines; }

std::string escape_log_text(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const utf8::Sequence next = utf8::next(text);
    const std::string_view part = text.substr(0, next.length);
    const auto first = static_cast<unsigned char>(part[0]);
    if (!next.valid || first < 0x20 || first == 0x7f || is_deceptive(part)) {
      for (const char c : part)
        fmt::format_to(std::back_inserter(safe), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      safe += part;
    }
    text.remove_prefix(next.length);
  }
  return safe;
}

void log_event(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  const std::string safe = escape_log_text(message);
  logger().log(to_spdlog(level), "{}", json_lines ? json_line(level, safe, fields) : safe);
}

void log_line(LogLevel level, std::string_view message) { log_event(level, message, {}); }

}  // namespace pegainfer
