// A client for tests that sends exactly the bytes it is told to, whether they are HTTP or not.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pegainfer::testing {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  std::vector<std::string> chunks;             // of a chunked body
};

class HttpClient {
 public:
  explicit HttpClient(uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // False when the server has closed.
  bool send(std::string_view bytes);
  // The next answer; empty when the connection ends or 10 s pass before one is complete. `head`: no body
  // follows.
  std::optional<HttpAnswer> read_answer(bool head = false);
  // Status line and headers only; the body is left to read_more().
  std::optional<HttpAnswer> read_head();
  // Some bytes, decoded from nothing; empty at the end.
  std::string read_some();
  // Reads until `text` has been received; false when the connection ends or 10 s pass before.
  bool read_until(std::string_view text);
  // Whether the server closes within `limit`; what it still sends is discarded.
  bool closed_within(std::chrono::milliseconds limit);

  void half_close();  // we send no more
  void reset();       // RST instead of FIN
  void close();

 private:
  bool fill(std::chrono::milliseconds limit);
  int fd_ = -1;
  std::string buffer_;
};

// "POST <path> HTTP/1.1" with JSON content type, Host and Content-Length.
std::string post(std::string_view path, std::string_view body, std::string_view more_headers = {});
std::string get(std::string_view path, std::string_view more_headers = {});

// One request on a connection of its own.
std::optional<HttpAnswer> ask(uint16_t port, std::string_view request);

}  // namespace pegainfer::testing
