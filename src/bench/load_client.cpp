#include "bench/load_client.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "bench/completion_stream.h"

namespace pegainfer::bench {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 65'536;

std::string request_bytes(const ServerUrl& server, const std::string& path, const std::string& body,
                          const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string out = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}:{}\r\n", body.empty() ? "GET" : "POST",
                                server.base_path, path, server.host, server.port);
  for (const auto& [name, value] : headers) out += fmt::format("{}: {}\r\n", name, value);
  if (!body.empty())
    out += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  out += "\r\n";
  return out + body;
}

// What all connections share.
struct Shared {
  const LoadOptions& options;
  asio::io_context io{1};
  tcp::resolver::results_type addresses;
  Stopwatch watch;
};

// A connection with at most one request under way. It keeps itself alive while it has one.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Done = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(Shared& shared, Done done)
      : shared_(shared), done_(std::move(done)), socket_(shared.io), timer_(shared.io) {}

  void start(RequestOutcome& outcome, const std::string& body) {
    bytes_ = request_bytes(shared_.options.server, shared_.options.path, body, shared_.options.headers);
    outcome_ = &outcome;
    outcome.start = shared_.watch.seconds();
    reused_ = socket_.is_open();
    timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(shared_.options.timeout_s)));
    timer_.async_wait([self = shared_from_this(), turn = turn_](const error_code& e) {
      if (!e && turn == self->turn_) self->end("no end within the time allowed", false);
    });
    begin();
  }
  [[nodiscard]] bool open() const { return socket_.is_open(); }

 private:
  void begin() {
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(boost::none);
    stream_.emplace(*outcome_, shared_.options.keep_text);
    error_body_.clear();
    buffer_.clear();
    received_ = false;
    if (socket_.is_open()) return write();
    asio::async_connect(socket_, shared_.addresses,
                        [self = shared_from_this(), turn = turn_](const error_code& e, const tcp::endpoint&) {
                          if (turn != self->turn_) return;
                          if (e) return self->end("cannot connect: " + e.message(), false);
                          error_code ignored;
                          self->socket_.set_option(tcp::no_delay(true), ignored);
                          self->write();
                        });
  }

  void write() {
    asio::async_write(socket_, asio::buffer(bytes_),
                      [self = shared_from_this(), turn = turn_](const error_code& e, size_t) {
                        if (turn != self->turn_) return;
                        if (e) return self->lost(e);
                        self->read();
                      });
  }

  void read() {
    socket_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this(), turn = turn_](const error_code& e, size_t n) {
                              if (turn == self->turn_) self->on_read(e, n);
                            });
  }

  void on_read(const error_code& read_error, size_t n) {
    if (read_error && read_error != asio::error::eof) return lost(read_error);
    received_ = received_ || n > 0;
    buffer_.commit(n);
    error_code error;
    if (read_error == asio::error::eof) {
      if (!received_) return lost(read_error);
      parser_->put_eof(error);
      if (error) return end("the connection closed within the answer", false);
    }
    while (buffer_.size() > 0 && !parser_->is_done() && !error) {
      const size_t used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
    }
    if (error && error != http::error::need_more) return end("no HTTP: " + error.message(), false);
    if (parser_->is_header_done()) take_body();
    if (parser_->is_done()) return end({}, parser_->get().keep_alive() && read_error != asio::error::eof);
    read();
  }

  void take_body() {
    std::string& body = parser_->get().body();
    if (body.empty()) return;
    if (parser_->get().result_int() == 200) {
      stream_->feed(body, shared_.watch.seconds());
    } else {
      error_body_ += body;
    }
    body.clear();
  }

  // A server may close an idle connection just when we write on it: once more on a fresh one.
  void lost(const error_code& e) {
    if (!reused_ || received_) return end("connection lost: " + e.message(), false);
    reused_ = false;
    close();
    begin();
  }

  void end(const std::string& error, bool keep) {
    const unsigned status = parser_->is_header_done() ? parser_->get().result_int() : 0;
    if (!keep) close();
    ++turn_;  // handlers still queued belong to the past
    timer_.cancel();
    if (status == 200) {
      if (!error.empty()) outcome_->error = error;
      stream_->finish();
      if (!error.empty()) outcome_->success = false;
    } else {
      outcome_->error = status == 0 ? error : fmt::format("{}: {}", status, error_message(error_body_));
    }
    done_(shared_from_this());
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  Shared& shared_;
  Done done_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::string bytes_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::optional<CompletionStream> stream_;
  std::string error_body_;
  RequestOutcome* outcome_ = nullptr;
  bool reused_ = false;    // the connection served another request before
  bool received_ = false;  // something of this answer
  uint64_t turn_ = 0;      // one more with each request
};

class Load {
 public:
  Load(const LoadOptions& options, const std::vector<LoadRequest>& requests)
      : shared_{options}, requests_(requests), timer_(shared_.io) {}

  Result<LoadResult> run() {
    const LoadOptions& options = shared_.options;
    error_code error;
    shared_.addresses =
        tcp::resolver(shared_.io).resolve(options.server.host, std::to_string(options.server.port), error);
    if (error) return io_error(fmt::format("{}: {}", options.server.host, error.message()));
    result_.outcomes.resize(requests_.size());
    for (size_t i = 0; i < requests_.size(); ++i) result_.outcomes[i].prompt_len = requests_[i].prompt_len;
    shared_.watch = Stopwatch();
    arrive();
    shared_.io.run();
    return std::move(result_);
  }

 private:
  // Takes in all that are due and waits for the next.
  void arrive() {
    const double now = shared_.watch.seconds();
    while (num_arrived_ < requests_.size() && requests_[num_arrived_].at <= now)
      waiting_.push_back(num_arrived_++);
    fill();
    if (num_arrived_ == requests_.size()) return;
    timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(requests_[num_arrived_].at - now)));
    timer_.async_wait([this](const error_code& e) {
      if (!e) arrive();
    });
  }

  void fill() {
    const int limit = shared_.options.max_concurrency;
    while (!waiting_.empty() && (limit == 0 || num_active_ < limit)) {
      const size_t index = waiting_.front();
      waiting_.pop_front();
      ++num_active_;
      std::shared_ptr<Connection> connection;
      if (idle_.empty()) {
        connection = std::make_shared<Connection>(
            shared_, [this](const std::shared_ptr<Connection>& c) { on_done(c); });
      } else {
        connection = std::move(idle_.back());
        idle_.pop_back();
      }
      connection->start(result_.outcomes[index], shared_.options.body(index));
    }
  }

  void on_done(const std::shared_ptr<Connection>& connection) {
    --num_active_;
    if (connection->open()) idle_.push_back(connection);
    result_.duration = shared_.watch.seconds();
    if (shared_.options.on_done) shared_.options.on_done(++num_done_);
    fill();
  }

  Shared shared_;
  const std::vector<LoadRequest>& requests_;
  asio::steady_timer timer_;
  std::deque<size_t> waiting_;
  std::vector<std::shared_ptr<Connection>> idle_;
  size_t num_arrived_ = 0;
  size_t num_done_ = 0;
  int num_active_ = 0;
  LoadResult result_;
};

}  // namespace

Result<ServerUrl> parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme))
    return invalid_argument(fmt::format("--base-url {}: it must begin with http://", url), "--base-url");
  std::string_view rest = std::string_view(url).substr(kScheme.size());
  ServerUrl out;
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    out.base_path = rest.substr(slash);
    while (out.base_path.ends_with('/')) out.base_path.pop_back();
    rest = rest.substr(0, slash);
  }
  out.port = 80;
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && rest.find(']', colon) == std::string_view::npos) {
    const std::string_view digits = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (error != std::errc{} || end != digits.data() + digits.size() || out.port == 0)
      return invalid_argument(fmt::format("--base-url {}: {} is no port", url, digits), "--base-url");
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) return invalid_argument(fmt::format("--base-url {}: no host", url), "--base-url");
  out.host = rest;
  return out;
}

Result<LoadResult> run_load(const LoadOptions& options, const std::vector<LoadRequest>& requests) {
  return Load(options, requests).run();
}

Result<HttpReply> ask_server(const ServerUrl& server, const std::string& path, const std::string& body,
                             const std::vector<std::pair<std::string, std::string>>& headers) {
  asio::io_context io(1);
  tcp::socket socket(io);
  error_code error;
  const auto failed = [&](const char* what) {
    return io_error(fmt::format("{} {}:{}: {}", what, server.host, server.port, error.message()));
  };
  const auto addresses = tcp::resolver(io).resolve(server.host, std::to_string(server.port), error);
  if (error) return failed("cannot find");
  asio::connect(socket, addresses, error);
  if (error) return failed("cannot connect to");
  asio::write(socket, asio::buffer(request_bytes(server, path, body, headers)), error);
  if (error) return failed("cannot write to");
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  http::read(socket, buffer, parser, error);
  if (error) return failed("no answer from");
  return HttpReply{static_cast<int>(parser.get().result_int()), parser.get().body()};
}

}  // namespace pegainfer::bench
