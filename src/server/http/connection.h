// One client connection. Internal to this folder: only connection.cpp and server.cpp include it, as it needs
// Asio's headers.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "server/http/admission.h"
#include "server/http/options.h"
#include "server/http/request_parser.h"
#include "server/http/responder.h"
#include "server/http/router.h"

namespace pegainfer::http {

class Connection;
using Socket = boost::asio::generic::stream_protocol::socket;  // TCP or Unix

// What all connections of a server share. Only the server's thread touches it.
struct ConnectionContext {
  Options options;
  Router router;
  HostRule hosts;
  CorsRule cors;
  std::unique_ptr<TlsContext> tls;                       // null: plain
  std::unordered_map<std::string_view, size_t> serving;  // requests under way by API key's name
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::function<void()> on_empty;  // set while draining
  std::vector<char> read_buffer;   // connections read in turn, so they share it
  uint64_t request_id_prefix = 0;  // random
  uint64_t num_requests = 0;
  uint64_t num_ids = 0;
  bool draining = false;
};

// Reads requests one at a time and in order, answers each before the next is looked at, and goes on reading
// while an answer is outstanding, so that a client that leaves is noticed at once.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, ConnectionContext& context);

  void start();
  void refuse();    // 503: too many connections
  void on_drain();  // close when idle, else after the answer
  void drop();      // close now; the outstanding request is told

  // From the responder of request `number`; ignored unless that one is outstanding.
  void send(uint64_t number, Response response);
  void begin_stream(uint64_t number);
  void write_stream(uint64_t number, std::string_view frame);
  void end_stream(uint64_t number);
  void set_disconnect_callback(uint64_t number, std::function<void()> callback);

 private:
  enum class Phase : uint8_t { kReading, kAnswering, kLingering, kClosed };

  void wait_readable();
  void on_readable(const boost::system::error_code& error);
  void read_tls();
  void take_input(size_t size);
  void on_eof();
  void process_input();
  bool step_input();
  void on_header();
  void decide_answer();
  [[nodiscard]] bool take_place();
  void dispatch();
  std::string new_request_id();
  void reject(const Fault& fault);
  void answer(Response response);
  void finish_answer();
  void report_exchange();
  [[nodiscard]] bool outstanding(uint64_t number) const;

  void append_head(int status, const std::string& content_type, const std::vector<Header>& headers);
  void flush();
  void write_some();
  void write_tls();
  void on_written(const boost::system::error_code& error, size_t size);
  void begin_linger();

  void arm_read_timer();
  void on_read_timeout();
  void arm_write_timer();
  void tell_disconnected();

  Socket socket_;
  ConnectionContext& context_;
  boost::asio::steady_timer read_timer_;
  boost::asio::steady_timer write_timer_;
  std::unique_ptr<TlsSession> tls_;  // null: plain
  RequestParser parser_;
  std::string in_;       // received, not yet parsed
  std::string out_;      // to be written, after what is being written
  std::string writing_;  // given to the socket
  size_t written_ = 0;   // of writing_
  Phase phase_ = Phase::kReading;
  bool waiting_readable_ = false;
  bool processing_ = false;  // process_input() is on the stack
  bool eof_ = false;
  bool close_after_answer_ = false;
  bool close_after_write_ = false;
  bool first_request_ = true;
  bool tls_read_wants_write_ = false;  // the next wait to read is one to write
  std::string peer_;

  // Of the request that is being read or answered.
  uint64_t number_ = 0;
  std::optional<Response> ready_answer_;  // decided from the headers; sent when the body has been read
  Router::Match match_;
  std::string request_id_;
  ApiKeys::Client client_;
  bool has_place_ = false;           // one of its client's is taken
  std::string_view allowed_origin_;  // of another site's page; "": no such headers
  bool is_head_ = false;
  bool http10_ = false;
  bool streaming_ = false;
  bool exchanging_ = false;  // the request has not been reported yet
  int status_ = 0;           // of its answer, once that has begun
  std::string_view method_;  // for the report, as what follows
  std::string path_;
  uint64_t body_bytes_ = 0;
  std::chrono::steady_clock::time_point exchange_begin_;
  std::function<void()> disconnect_callback_;
  uint64_t timer_stamp_ = 0;  // which wait read_timer_ stands for
};

}  // namespace pegainfer::http
