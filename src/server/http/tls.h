// TLS 1.2 and 1.3 by OpenSSL, over sockets that do not block. Internal to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pegainfer/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace pegainfer::http {

struct TlsFiles {
  std::string certificate;  // PEM: the server's, then those between it and the root
  std::string key;          // PEM, without a password; "": in the same file
};

// One side of one connection. The handshake is part of the first read.
class TlsSession {
 public:
  explicit TlsSession(ssl_st* ssl) : ssl_(ssl) {}

  enum class State : uint8_t { kDone, kWantRead, kWantWrite, kEof, kFailed };
  struct Step {
    State state = State::kFailed;
    size_t size = 0;
  };
  Step read(char* data, size_t size);
  // After kWantRead or kWantWrite it must be called again with the same bytes; their address may differ.
  Step write(const char* data, size_t size);
  // Bytes that were received and can be read without the socket becoming readable.
  [[nodiscard]] bool has_pending() const;
  void say_goodbye();

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  Step step(int result) const;
  std::unique_ptr<ssl_st, Free> ssl_;
};

class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files);
  // `socket`: a descriptor that does not block and outlives the session.
  [[nodiscard]] std::unique_ptr<TlsSession> accept(int socket) const;

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

}  // namespace pegainfer::http
