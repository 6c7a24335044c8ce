// Log lines for programs: --log-format json writes every line as one JSON object, and events add members to
// it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/log.h"

namespace pegainfer {

enum class LogFormat : unsigned char { kText, kJson };
// kJson: {"ts": "2026-11-26T05:03:21.123Z", "level": "info", "msg": ...}. Before other threads log.
void set_log_format(LogFormat format);
// What else goes to standard error for people's eyes, as progress, is then left out.
[[nodiscard]] bool logs_json();

struct LogField {
  std::string_view name;  // no "ts", "level" or "msg"
  std::variant<std::string_view, int64_t, double> value;
};
// In text the message alone, so it has to say everything; in JSON with the fields beside it.
void log_event(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);

// `text` with everything escaped that could forge a line or drive a terminal: control characters (C0, C1,
// DEL), line and paragraph separators, marks that turn the direction of text, and bytes that are not UTF-8.
std::string escape_log_text(std::string_view text);

}  // namespace pegainfer
