// CHECK: a broken invariant is a bug. It prints the expression, the message, the place, and aborts. Always
// on.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace pegainfer {

struct CheckPlace {  // std::source_location is not there for clang 14, which lints us
  const char* file;
  int line;
  const char* function;
};

[[noreturn]] void check_failed(std::string_view expression, const std::string& message, CheckPlace where);

}  // namespace pegainfer

// CHECK(rows == other.rows, "rows {} against {}", rows, other.rows);
#define CHECK(cond, ...)                                                                \
  do {                                                                                  \
    if (!(cond)) [[unlikely]]                                                           \
      ::pegainfer::check_failed(#cond, fmt::format("" __VA_ARGS__),                     \
                                ::pegainfer::CheckPlace{__FILE__, __LINE__, __func__}); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(cond, ...) \
  do {                    \
  } while (false && (cond))
#else
#define DCHECK(cond, ...) CHECK(cond __VA_OPT__(, ) __VA_ARGS__)
#endif
