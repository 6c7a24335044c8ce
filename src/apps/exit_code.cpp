#include "apps/exit_code.h"

#include <fmt/core.h>

#include <cstdio>

namespace pegainfer::apps {

int exit_code(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kUnsupported: return kExitUsage;
    case Code::kResourceExhausted: return kExitMemory;
    case Code::kUnavailable:
    case Code::kIo: return kExitIo;
    case Code::kCancelled: return kExitInterrupted;
    case Code::kInternal: return kExitDefect;
  }
  return kExitDefect;
}

int report(const Error& error) {
  fmt::print(stderr, "pegainfer: {}\n", error.message);
  return exit_code(error);
}

}  // namespace pegainfer::apps
