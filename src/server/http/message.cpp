#include "server/http/message.h"

#include "base/json.h"

namespace pegainfer::http {

const std::string* Request::header(std::string_view name) const {
  for (const Header& h : headers)
    if (h.name == name) return &h.value;
  return nullptr;
}

std::string to_json(const ErrorBody& error) {
  const auto append = [](std::string& out, std::string_view key, const std::string& value) {
    out += key;
    if (value.empty()) {
      out += "null";
    } else {
      json::append_string(out, value);
    }
  };
  std::string out;
  append(out, R"({"error":{"message":)", error.message);
  append(out, R"(,"type":)", error.type);
  append(out, R"(,"param":)", error.param);
  append(out, R"(,"code":)", error.code);
  out += "}}";
  return out;
}

Response error_response(int status, const ErrorBody& error) {
  Response response;
  response.status = status;
  response.body = to_json(error);
  return response;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

}  // namespace pegainfer::http
