#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pegainfer {

void check_failed(std::string_view expression, const std::string& message, CheckPlace where) {
  // stdio, not the logger: it must work while the logger is the thing that is broken.
  std::fputs(fmt::format("CHECK failed: {} {}{}({}:{} in {})\n", expression, message,
                         message.empty() ? "" : " ", where.file, where.line, where.function)
                 .c_str(),
             stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace pegainfer
