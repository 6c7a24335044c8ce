#include "server/http/tls.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <climits>

namespace pegainfer::http {
namespace {

std::string last_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

// A key with a password must be an error, not a question at a terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*unused*/) { return -1; }

// HTTP/1.1 is all we speak: a client that offers more gets that, one that does not offer it an alert.
int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* offered, unsigned int length, void* /*unused*/) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1\x08http/1.0";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kOurs, sizeof kOurs - 1, offered, length) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status load_files(SSL_CTX* context, const TlsFiles& files) {
  const std::string& key = files.key.empty() ? files.certificate : files.key;
  SSL_CTX_set_default_passwd_cb(context, no_password);
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    return invalid_argument(fmt::format("--ssl-certfile {}: no certificate in PEM could be read from it: {}",
                                        files.certificate, last_error()),
                            "ssl-certfile");
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return invalid_argument(fmt::format("--ssl-keyfile {}: no private key in PEM, without a password and "
                                        "fitting the certificate, could be read from it: {}",
                                        key, last_error()),
                            "ssl-keyfile");
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return invalid_argument(
        fmt::format("--ssl-keyfile {}: the key does not belong to the certificate: {}", key, last_error()),
        "ssl-keyfile");
  }
  return ok_status();
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void TlsSession::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  std::unique_ptr<TlsContext> made(new TlsContext(SSL_CTX_new(TLS_server_method())));
  SSL_CTX* context = made->context_.get();
  if (context == nullptr) return internal_error("OpenSSL could not be started: " + last_error());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // Many clients close without saying so; lengths and chunks already tell whether a request is whole.
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Without these a stream of 4,096 idle clients holds 34 KiB of buffers each.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  RETURN_IF_ERROR(load_files(context, files));
  return made;
}

std::unique_ptr<TlsSession> TlsContext::accept(int socket) const {
  SSL* ssl = SSL_new(context_.get());
  if (ssl == nullptr) return nullptr;
  auto session = std::make_unique<TlsSession>(ssl);
  if (SSL_set_fd(ssl, socket) != 1) return nullptr;
  SSL_set_accept_state(ssl);
  return session;
}

TlsSession::Step TlsSession::step(int result) const {
  if (result > 0) return {State::kDone, static_cast<size_t>(result)};
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return {State::kWantRead};
    case SSL_ERROR_WANT_WRITE: return {State::kWantWrite};
    case SSL_ERROR_ZERO_RETURN: return {State::kEof};
    default: return {State::kFailed};
  }
}

TlsSession::Step TlsSession::read(char* data, size_t size) {
  ERR_clear_error();
  return step(SSL_read(ssl_.get(), data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

TlsSession::Step TlsSession::write(const char* data, size_t size) {
  ERR_clear_error();
  return step(SSL_write(ssl_.get(), data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

bool TlsSession::has_pending() const { return SSL_pending(ssl_.get()) > 0; }

void TlsSession::say_goodbye() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
}

}  // namespace pegainfer::http
