// What one HTTP server accepts, and for how long it waits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/api_keys.h"
#include "server/http/cors.h"
#include "server/http/tls.h"

namespace pegainfer::http {

struct Limits {
  size_t max_uri = 8192;            // bytes of the request target; 414 above
  size_t max_header_line = 8192;    // bytes of one header line; 431 above
  size_t max_header_bytes = 16384;  // bytes of all header lines; 431 above
  size_t max_headers = 64;          // 431 above
  size_t max_body = 8U << 20U;      // bytes; 413 above
  size_t max_chunks = 65536;        // chunks of one chunked body; 413 above
  size_t max_pending = 1U << 20U;   // bytes a stream may have queued for a slow reader before it is dropped
  size_t socket_send_buffer = 0;    // bytes the system keeps for a connection besides them; 0: its own choice
  size_t max_pipelined = 64U << 10;  // bytes read ahead while a response is outstanding; then reading pauses
  size_t max_connections = 8192;     // 503 above
  size_t max_requests_per_client = 0;  // under way for one API key; 429 above; 0: no limit
};

struct Timeouts {
  std::chrono::milliseconds header{10'000};       // first byte to the end of the headers: 408
  std::chrono::milliseconds body{30'000};         // end of the headers to the end of the body: 408
  std::chrono::milliseconds idle{75'000};         // between two requests of one connection
  std::chrono::milliseconds write_stall{30'000};  // without the client taking a byte
  std::chrono::milliseconds linger{2'000};  // for the client to read an answer that closes the connection
};

// A request and its answer, told when the answer is complete or the client has left.
struct Exchange {
  std::string_view method;   // "other" when it is none that HTTP servers know
  std::string_view handler;  // the route's path; "none" when there is no route: never what the client made up
  int status = 0;            // 0: the client left before there was one
  double seconds = 0;        // since its headers were there
  // For the access log. What a client sent is in `path` alone, and whoever writes it down escapes it.
  std::string_view path;        // as sent, without the query; "" when the headers were not understood
  std::string_view request_id;  // safe to write anywhere
  std::string_view peer;        // "127.0.0.1:51234"
  int minor_version = 1;        // of HTTP/1.x
  uint64_t bytes = 0;           // of the answer's body
};

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;  // 0: any free one, see HttpServer::port()
  std::string uds;       // path of a Unix socket to listen on instead; "": none
  std::optional<TlsFiles> tls;
  ApiKeys keys;
  std::vector<std::string> public_paths;  // GET routes that need no key besides the open ones
  CorsOptions cors;
  // On a loopback address only requests for localhost, a loopback address or one of these hosts are answered:
  // a web page of the same machine's browser could reach us under a name of its own (DNS rebinding).
  std::vector<std::string> allowed_hosts;
  Limits limits;
  Timeouts timeouts;
  std::function<void(const Exchange&)> on_exchange;  // on the server's thread; empty: nobody asks
};

}  // namespace pegainfer::http
