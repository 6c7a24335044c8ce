// What an Error is to an HTTP client: status, and the type and code of the error object.
#pragma once

#include <string>

#include "pegainfer/result.h"

namespace pegainfer::openai {

struct ApiError {
  int status = 500;
  std::string message;
  std::string type;
  std::string param;    // "" is null
  std::string code;     // "" is null
  int retry_after = 0;  // seconds; 0: not said
};

// Bad input is never a 5xx: clients repeat those.
ApiError to_api_error(const Error& error);

}  // namespace pegainfer::openai
