#include "server/http/connection.h"

#include <fmt/core.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <ctime>
#include <utility>

#include "base/log.h"
#include "server/http/peer_name.h"

namespace pegainfer::http {
namespace {

using boost::asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// IMF-fixdate, computed once a second.
const std::string& http_date() {
  static std::time_t last = 0;
  static std::string text;
  const std::time_t now = std::time(nullptr);
  if (now == last) return text;
  last = now;
  std::tm utc{};
  gmtime_r(&now, &utc);
  char buffer[64];
  text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &utc));
  return text;
}

// The responder of one request: a number and a connection that may be gone.
class ConnectionResponder final : public Responder {
 public:
  ConnectionResponder(std::weak_ptr<Connection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}
  ConnectionResponder(const ConnectionResponder&) = delete;
  ConnectionResponder& operator=(const ConnectionResponder&) = delete;
  ~ConnectionResponder() override {
    const auto connection = connection_.lock();
    if (connection == nullptr) return;
    if (streaming_) {
      connection->end_stream(number_);
    } else if (!answered_) {
      connection->send(number_,
                       error_response(500, {.message = "the request was not answered; this is a defect",
                                            .type = "server_error",
                                            .code = "internal_error"}));
    }
  }

  void send(Response response) override {
    if (std::exchange(answered_, true)) return;
    if (const auto c = connection_.lock()) c->send(number_, std::move(response));
  }
  void begin_stream() override {
    if (std::exchange(answered_, true)) return;
    streaming_ = true;
    if (const auto c = connection_.lock()) c->begin_stream(number_);
  }
  void write(std::string_view frame) override {
    if (!streaming_) return;
    if (const auto c = connection_.lock()) c->write_stream(number_, frame);
  }
  void end_stream() override {
    if (!std::exchange(streaming_, false)) return;
    if (const auto c = connection_.lock()) c->end_stream(number_);
  }
  void on_disconnect(std::function<void()> callback) override {
    if (const auto c = connection_.lock()) c->set_disconnect_callback(number_, std::move(callback));
  }

 private:
  std::weak_ptr<Connection> connection_;
  uint64_t number_;
  bool answered_ = false;
  bool streaming_ = false;
};

// The methods of RFC 9110: a client may send any word, but not make it a label.
std::string_view known_method(std::string_view method) {
  for (const std::string_view known :
       {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"})
    if (method == known) return known;
  return "other";
}

Response too_many_requests() {
  Response response = error_response(
      429, {.message = "as many requests of this API key as may be under way at a time are: try again later",
            .type = "rate_limit_error",
            .code = "rate_limit_exceeded"});
  response.headers.push_back({"retry-after", "1"});
  return response;
}

Response fault_response(const Fault& fault) {
  return error_response(fault.status, {.message = fault.message, .code = fault.code});
}

}  // namespace

Connection::Connection(Socket socket, ConnectionContext& context)
    : socket_(std::move(socket)),
      context_(context),
      read_timer_(socket_.get_executor()),
      write_timer_(socket_.get_executor()),
      parser_(context.options.limits) {}

void Connection::start() {
  peer_ = peer_name(socket_.native_handle());
  ErrorCode ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  if (const size_t size = context_.options.limits.socket_send_buffer; size > 0)
    socket_.set_option(boost::asio::socket_base::send_buffer_size(static_cast<int>(size)), ignored);
  socket_.non_blocking(true, ignored);
  if (context_.tls != nullptr) {
    tls_ = context_.tls->accept(socket_.native_handle());
    if (tls_ == nullptr) return drop();
  }
  arm_read_timer();
  wait_readable();
}

void Connection::refuse() {
  if (context_.tls != nullptr)
    return drop();  // a handshake, to say that there is no room, is what makes room scarce
  ErrorCode ignored;
  socket_.non_blocking(true, ignored);
  Response response = error_response(
      503, {.message = "too many connections", .type = "server_error", .code = "server_overloaded"});
  response.headers.push_back({"retry-after", "1"});
  close_after_answer_ = true;
  request_id_ = new_request_id();
  answer(std::move(response));
  wait_readable();
}

void Connection::on_drain() {
  close_after_answer_ = true;
  const bool idle = phase_ == Phase::kReading && !parser_.in_header() && !parser_.in_body() && in_.empty();
  if (!idle) return;
  if (out_.empty() && writing_.empty()) return drop();
  close_after_write_ = true;
}

// ---------------------------------------------------------------------------------------------- reading

void Connection::wait_readable() {
  if (waiting_readable_ || eof_ || phase_ == Phase::kClosed) return;
  const Limits& limits = context_.options.limits;
  const bool behind = phase_ == Phase::kAnswering || out_.size() > limits.max_pending;
  if (behind && phase_ != Phase::kLingering && in_.size() > limits.max_pipelined) return;
  waiting_readable_ = true;
  const auto readable = [self = shared_from_this()](const ErrorCode& error) {
    self->waiting_readable_ = false;
    self->on_readable(error);
  };
  if (tls_ != nullptr && tls_->has_pending()) {
    boost::asio::post(socket_.get_executor(), [readable] { readable({}); });
  } else {
    socket_.async_wait(tls_read_wants_write_ ? Socket::wait_write : Socket::wait_read, readable);
  }
}

void Connection::on_readable(const ErrorCode& error) {
  if (phase_ == Phase::kClosed) return;
  if (error) return drop();
  if (tls_ != nullptr) return read_tls();
  ErrorCode read_error;
  const size_t size = socket_.read_some(boost::asio::buffer(context_.read_buffer), read_error);
  if (read_error == boost::asio::error::would_block || read_error == boost::asio::error::try_again) {
    return wait_readable();
  }
  if (read_error == boost::asio::error::eof) return on_eof();
  if (read_error) return drop();
  take_input(size);
}

void Connection::read_tls() {
  const auto [state, size] = tls_->read(context_.read_buffer.data(), context_.read_buffer.size());
  tls_read_wants_write_ = state == TlsSession::State::kWantWrite;
  switch (state) {
    case TlsSession::State::kDone: return take_input(size);
    case TlsSession::State::kEof: return on_eof();
    case TlsSession::State::kFailed: return drop();
    default: return wait_readable();
  }
}

// `size` bytes of the shared buffer.
void Connection::take_input(size_t size) {
  if (phase_ != Phase::kLingering) {
    in_.append(context_.read_buffer.data(), size);
    process_input();
  }
  wait_readable();
}

// A client that closes its half while an answer is outstanding has left: no client in use half-closes and
// waits, and taking it so is the only way to notice those that leave before the first byte of an answer.
void Connection::on_eof() {
  eof_ = true;
  if (phase_ == Phase::kLingering) return drop();  // this is what it lingered for
  const bool all_said =
      close_after_write_ || (phase_ == Phase::kReading && !(out_.empty() && writing_.empty()));
  if (all_said) {
    close_after_write_ = true;
  } else {
    drop();
  }
}

void Connection::process_input() {
  if (std::exchange(processing_, true)) return;
  while (phase_ == Phase::kReading && !close_after_write_ && step_input()) {
  }
  processing_ = false;
}

// One step of the parser; false when it needs more bytes, or when what is written has to go out first.
bool Connection::step_input() {
  if (out_.size() > context_.options.limits.max_pending) return false;
  switch (parser_.advance(in_)) {
    case RequestParser::Event::kNeedMore: arm_read_timer(); return false;
    case RequestParser::Event::kHeader: on_header(); return true;
    case RequestParser::Event::kComplete: dispatch(); return true;
    case RequestParser::Event::kFault: reject(parser_.fault()); return false;
  }
  return false;
}

void Connection::on_header() {
  const Request& request = parser_.request();
  first_request_ = false;
  number_ = ++context_.num_requests;
  exchanging_ = true;
  status_ = 0;
  method_ = known_method(request.method);
  path_ = request.path;
  body_bytes_ = 0;
  exchange_begin_ = std::chrono::steady_clock::now();
  is_head_ = request.method == "HEAD";
  http10_ = request.minor_version == 0;
  request_id_ = safe_request_id(request);
  if (request_id_.empty()) request_id_ = new_request_id();
  close_after_answer_ = context_.draining || !parser_.keep_alive();

  match_ = context_.router.match(request.method, request.path);
  decide_answer();
  if (phase_ != Phase::kReading || close_after_write_) return;  // it has been answered
  if (!parser_.expects_continue() || !parser_.has_body()) return;
  if (!equals_ignoring_case(*request.header("expect"), "100-continue")) {
    ready_answer_ = error_response(
        417, {.message = "the only Expect understood is: 100-continue", .code = "expectation_failed"});
  }
  if (ready_answer_) {  // the client waits before it sends the body: spare it that
    close_after_answer_ = true;
    answer(std::exchange(ready_answer_, std::nullopt).value());
  } else if (in_.empty()) {
    out_ += kContinue;
    flush();
  }
}

// What the headers alone decide, the least trusting question first: nothing is told of routes, and no body is
// read, before it is known who asks.
void Connection::decide_answer() {
  const Request& request = parser_.request();
  const Options& options = context_.options;
  allowed_origin_ = context_.cors.allowed_origin(request);
  client_ = {};
  ready_answer_ = check_host(request, context_.hosts);
  if (!ready_answer_) ready_answer_ = context_.cors.answer_preflight(request);
  if (ready_answer_) return;
  client_ = options.keys.identify(request);
  ready_answer_ = options.keys.refuse(client_, match_.route);
  if (ready_answer_) {
    if (!parser_.has_body()) return;
    close_after_answer_ = true;
    return answer(std::exchange(ready_answer_, std::nullopt).value());
  }
  ready_answer_ = answer_without_handler(request, parser_.has_body(), match_);
  if (!ready_answer_ && !take_place()) ready_answer_ = too_many_requests();
}

// Of those that one client may have at a time; looking at things is not counted.
bool Connection::take_place() {
  const size_t limit = context_.options.limits.max_requests_per_client;
  if (limit == 0 || client_.name.empty() || match_.route->method == "GET") return true;
  size_t& serving = context_.serving[client_.name];
  if (serving >= limit) return false;
  ++serving;
  has_place_ = true;
  return true;
}

std::string Connection::new_request_id() {
  return fmt::format("req-{:016x}-{:x}", context_.request_id_prefix, ++context_.num_ids);
}

void Connection::dispatch() {
  Request request = parser_.take_request();
  request.request_id = request_id_;
  request.path_tail = std::move(match_.path_tail);
  if (context_.options.keys.several_clients()) request.client = client_.name;
  phase_ = Phase::kAnswering;
  read_timer_.cancel();
  if (ready_answer_) return answer(std::exchange(ready_answer_, std::nullopt).value());
  LOG_DEBUG("{} {} {} ({} bytes)", request_id_, request.method, request.path, request.body.size());
  try {
    match_.route->handler(std::move(request),
                          std::make_shared<ConnectionResponder>(weak_from_this(), number_));
  } catch (
      const std::exception& e) {  // of a library, as when memory runs out; the responder has answered 500
    LOG_ERROR("{}: {}", request_id_, e.what());
  }
}

void Connection::reject(const Fault& fault) {
  if (!parser_.in_body()) {  // its headers were not understood
    request_id_ = new_request_id();
    match_ = {};
    allowed_origin_ = {};
    exchanging_ = true;
    method_ = known_method({});
    path_.clear();
    body_bytes_ = 0;
    exchange_begin_ = std::chrono::steady_clock::now();
  }
  close_after_answer_ = true;
  answer(fault_response(fault));
}

void Connection::arm_read_timer() {
  enum : uint8_t { kNone, kIdle, kHeader, kBody };
  const Timeouts& t = context_.options.timeouts;
  const bool idle = !parser_.in_header() && !parser_.in_body() && !first_request_;
  const uint8_t kind = parser_.in_body() ? kBody : idle ? kIdle : kHeader;
  // The deadline counts from the start of what is waited for: more bytes do not move it.
  const uint64_t stamp = number_ * 4 + kind;
  if (timer_stamp_ == stamp) return;
  timer_stamp_ = stamp;
  read_timer_.expires_after(kind == kBody ? t.body : kind == kIdle ? t.idle : t.header);
  read_timer_.async_wait([self = shared_from_this(), stamp](const ErrorCode& error) {
    if (!error && self->timer_stamp_ == stamp) self->on_read_timeout();
  });
}

void Connection::on_read_timeout() {
  if (phase_ == Phase::kLingering) return drop();
  if (phase_ != Phase::kReading) return;
  if (!parser_.in_header() && !parser_.in_body()) return drop();
  reject({408, "request_timeout", "the request did not arrive in time"});
}

// -------------------------------------------------------------------------------------------- answering

bool Connection::outstanding(uint64_t number) const {
  return phase_ == Phase::kAnswering && number == number_;
}

void Connection::send(uint64_t number, Response response) {
  if (outstanding(number)) answer(std::move(response));
}

void Connection::answer(Response response) {
  phase_ = Phase::kAnswering;
  append_head(response.status, response.status == 204 ? "" : response.content_type, response.headers);
  if (response.status != 204) out_ += fmt::format("content-length: {}\r\n", response.body.size());
  out_ += "\r\n";
  if (!is_head_) {
    out_ += response.body;
    body_bytes_ += response.body.size();
  }
  finish_answer();
}

void Connection::begin_stream(uint64_t number) {
  if (!outstanding(number)) return;
  streaming_ = true;
  if (http10_) close_after_answer_ = true;  // it ends where the connection ends
  append_head(200, "text/event-stream; charset=utf-8",
              {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}});
  if (!http10_) out_ += "transfer-encoding: chunked\r\n";
  out_ += "\r\n";
  flush();
}

void Connection::write_stream(uint64_t number, std::string_view frame) {
  if (!outstanding(number) || !streaming_ || frame.empty()) return;
  body_bytes_ += frame.size();
  if (http10_) {
    out_ += frame;
  } else {
    fmt::format_to(std::back_inserter(out_), "{:x}\r\n", frame.size());
    out_ += frame;
    out_ += "\r\n";
  }
  if (out_.size() + writing_.size() - written_ > context_.options.limits.max_pending) {
    LOG_WARN("{}: the client does not read; dropped", request_id_);
    return drop();
  }
  flush();
}

void Connection::end_stream(uint64_t number) {
  if (!outstanding(number) || !streaming_) return;
  if (!http10_) out_ += "0\r\n\r\n";
  streaming_ = false;
  finish_answer();
}

void Connection::set_disconnect_callback(uint64_t number, std::function<void()> callback) {
  if (outstanding(number)) disconnect_callback_ = std::move(callback);
}

void Connection::append_head(int status, const std::string& content_type,
                             const std::vector<Header>& headers) {
  close_after_answer_ = close_after_answer_ || context_.draining;
  status_ = status;
  auto out = std::back_inserter(out_);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\ndate: {}\r\nserver: pegainfer\r\nx-request-id: {}\r\n", status,
                 reason_phrase(status), http_date(), request_id_);
  if (!content_type.empty()) fmt::format_to(out, "content-type: {}\r\n", content_type);
  for (const Header& h : headers) fmt::format_to(out, "{}: {}\r\n", h.name, h.value);
  if (!allowed_origin_.empty()) {
    fmt::format_to(
        out,
        "access-control-allow-origin: {}\r\naccess-control-expose-headers: x-request-id, retry-after\r\n",
        allowed_origin_);
  }
  if (context_.cors.varies()) out_ += "vary: origin\r\n";
  if (close_after_answer_) {
    out_ += "connection: close\r\n";
  } else if (http10_) {
    out_ += "connection: keep-alive\r\n";
  }
}

// The answer is complete, though not yet written: the next request may be read.
void Connection::finish_answer() {
  report_exchange();
  disconnect_callback_ = nullptr;
  is_head_ = false;
  if (close_after_answer_) {
    close_after_write_ = true;
  } else {
    phase_ = Phase::kReading;
  }
  flush();
  if (phase_ == Phase::kReading) {
    process_input();
    wait_readable();
  }
}

void Connection::report_exchange() {
  if (std::exchange(has_place_, false)) --context_.serving[client_.name];
  if (!std::exchange(exchanging_, false) || !context_.options.on_exchange) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - exchange_begin_;
  context_.options.on_exchange(
      {.method = method_,
       .handler = match_.route == nullptr ? std::string_view("none") : std::string_view(match_.route->path),
       .status = status_,
       .seconds = seconds.count(),
       .path = path_,
       .request_id = request_id_,
       .peer = peer_,
       .minor_version = http10_ ? 0 : 1,
       .bytes = body_bytes_});
}

// ---------------------------------------------------------------------------------------------- writing

void Connection::flush() {
  if (!writing_.empty() || phase_ == Phase::kClosed || phase_ == Phase::kLingering) return;
  if (out_.empty()) {
    write_timer_.cancel();
    if (close_after_write_) begin_linger();
    return;
  }
  writing_.swap(out_);
  write_some();
}

void Connection::write_some() {
  arm_write_timer();
  if (tls_ != nullptr) return write_tls();
  socket_.async_write_some(
      boost::asio::buffer(writing_) + written_,
      [self = shared_from_this()](const ErrorCode& error, size_t size) { self->on_written(error, size); });
}

void Connection::write_tls() {
  const auto [state, size] = tls_->write(writing_.data() + written_, writing_.size() - written_);
  switch (state) {
    case TlsSession::State::kDone:
      // Not at once: what on_written() goes on to must not run inside of a flush().
      boost::asio::post(socket_.get_executor(),
                        [self = shared_from_this(), n = size] { self->on_written({}, n); });
      return;
    case TlsSession::State::kWantRead:
    case TlsSession::State::kWantWrite:
      socket_.async_wait(state == TlsSession::State::kWantRead ? Socket::wait_read : Socket::wait_write,
                         [self = shared_from_this()](const ErrorCode& error) {
                           if (self->phase_ == Phase::kClosed) return;
                           if (error) return self->drop();
                           self->write_tls();
                         });
      return;
    default:  // not from inside of a write of the request's handler
      boost::asio::post(socket_.get_executor(), [self = shared_from_this()] { self->drop(); });
  }
}

void Connection::on_written(const ErrorCode& error, size_t size) {
  if (phase_ == Phase::kClosed) return;
  if (error) return drop();
  written_ += size;
  if (written_ < writing_.size()) return write_some();
  writing_.clear();
  written_ = 0;
  constexpr size_t kKeep =
      64U << 10U;  // a stream's buffer is used again; a large answer's memory is given back
  if (writing_.capacity() > kKeep) writing_.shrink_to_fit();
  flush();
  if (phase_ != Phase::kReading) return;
  process_input();  // it may have waited for room
  wait_readable();
}

void Connection::arm_write_timer() {
  write_timer_.expires_after(context_.options.timeouts.write_stall);
  write_timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    if (error || self->phase_ == Phase::kClosed) return;
    LOG_WARN("{}: the client took no byte for too long; dropped", self->request_id_);
    self->drop();
  });
}

// Closing at once with unread bytes in the socket would reset the connection and could destroy the answer on
// its way; so say that nothing more comes, read on and discard until the client has closed.
void Connection::begin_linger() {
  phase_ = Phase::kLingering;
  if (eof_) return drop();
  if (tls_ != nullptr) tls_->say_goodbye();
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) return drop();
  timer_stamp_ = 0;
  read_timer_.expires_after(context_.options.timeouts.linger);
  read_timer_.async_wait([self = shared_from_this()](const ErrorCode& e) {
    if (!e) self->on_read_timeout();
  });
  wait_readable();
}

void Connection::drop() {
  if (std::exchange(phase_, Phase::kClosed) == Phase::kClosed) return;
  const auto self = shared_from_this();  // the set below may hold the last owner
  ErrorCode ignored;
  read_timer_.cancel();
  write_timer_.cancel();
  socket_.close(ignored);
  report_exchange();
  tell_disconnected();
  context_.connections.erase(self);
  if (context_.connections.empty() && context_.on_empty) std::exchange(context_.on_empty, nullptr)();
}

void Connection::tell_disconnected() {
  if (const auto callback = std::exchange(disconnect_callback_, nullptr)) callback();
}

}  // namespace pegainfer::http
