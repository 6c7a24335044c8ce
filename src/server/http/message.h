// A request as received and a response as asked for. Sockets and models are unknown here.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pegainfer::http {

struct Header {
  std::string name;  // lower case in requests
  std::string value;
};

struct Request {
  std::string method;
  std::string target;      // as sent: path and query
  std::string path;        // without the query; not decoded, not normalised
  std::string path_tail;   // what stood for {name} at the end of the route's path, percent-decoded
  std::string request_id;  // the client's x-request-id when it is harmless, else ours
  std::vector<Header> headers;
  std::string body;
  int minor_version = 1;  // of HTTP/1.x
  // The name of the API key it came with, where there are several clients: what they leave behind in caches
  // is kept apart. Else "".
  std::string client;

  // Null pointer when missing; `name` in lower case.
  [[nodiscard]] const std::string* header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<Header> headers;  // besides content-type, content-length, connection, date and x-request-id
};

// {"error": {"message", "type", "param", "code"}}; empty strings become null.
struct ErrorBody {
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;
  std::string code;
};
std::string to_json(const ErrorBody& error);
Response error_response(int status, const ErrorBody& error);

[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace pegainfer::http
