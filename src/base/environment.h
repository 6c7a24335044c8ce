// Environment variables: one that is set to nothing is not set.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace pegainfer {

inline std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

}  // namespace pegainfer
