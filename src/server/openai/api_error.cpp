#include "server/openai/api_error.h"

namespace pegainfer::openai {

ApiError to_api_error(const Error& error) {
  ApiError api{500, error.message, "server_error", error.param, error.type, 0};
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kUnsupported:
      api.status = 400;
      api.type = "invalid_request_error";
      break;
    case Code::kNotFound:
      api.status = 404;
      api.type = "invalid_request_error";
      break;
    case Code::kResourceExhausted:
      api.status = 429;
      api.type = "rate_limit_error";
      api.retry_after = 1;
      if (api.code.empty()) api.code = "server_overloaded";
      break;
    case Code::kUnavailable:
      api.status = 503;
      api.type = "unavailable_error";
      api.retry_after = 1;
      if (api.code.empty()) api.code = "unavailable";
      break;
    case Code::kCancelled:
      api.status = 503;
      api.type = "unavailable_error";
      if (api.code.empty()) api.code = "cancelled";
      break;
    case Code::kIo:
    case Code::kInternal:
      if (api.code.empty()) api.code = "internal_error";
      break;
  }
  return api;
}

}  // namespace pegainfer::openai
