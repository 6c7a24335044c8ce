#include "load/stream_client.h"

#include <fmt/core.h>

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "load/livez_probe.h"
#include "load/stream_check.h"

namespace pegainfer::load {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Error = boost::system::error_code;

enum class Behaviour { kRead, kCancel, kReset, kStall };

// One request, and what its client does with the answer.
struct Plan {
  Behaviour behaviour = Behaviour::kRead;
  std::string key;  // of its text: prompt and seed
  std::string body;
  size_t leave_after = 0;  // bytes
};

std::string request_of(const std::string& body) {
  return fmt::format(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Connection: close\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

class Clients;

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Clients& clients, asio::io_context& io, Plan plan)
      : clients_(clients), socket_(io), timer_(io), plan_(std::move(plan)) {}
  void start();

 private:
  void write();
  void read();
  void on_read(const Error& error, size_t size);
  void stall();
  void leave();
  void finish();

  Clients& clients_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  Plan plan_;
  std::string request_;
  std::array<char, 4096> buffer_{};
  size_t num_read_ = 0;
  StreamCheck check_;
};

class Clients {
 public:
  explicit Clients(const ClientOptions& options)
      : options_(options), rng_(options.seed), begin_(Clock::now()), second_(io_) {}

  ClientReport run() {
    for (int i = 0; i < options_.streams; ++i) next();
    tick();
    std::optional<LivezProbe> probe;
    if (options_.probe) probe.emplace(options_.port);
    io_.run();
    if (probe) {
      probe->stop();
      report_.livez_seconds = probe->seconds();
      for (const std::string& what : probe->wrong()) wrong(what);
    }
    report_.seconds = elapsed();
    return std::move(report_);
  }

  [[nodiscard]] const ClientOptions& options() const { return options_; }
  ClientReport& report() { return report_; }

  void ended() {
    --active_;
    next();
    if (active_ == 0) {
      second_.cancel();
      over_ = true;
    }
  }
  void wrong(std::string what) {
    ++report_.num_wrong;
    if (report_.wrong.size() < 10) report_.wrong.push_back(std::move(what));
  }
  // The same prompt and seed always say the same, one the beginning of the other when the lengths differ.
  void check_text(const std::string& key, const std::string& text) {
    std::string& known = texts_[key];
    const size_t common = std::min(known.size(), text.size());
    if (known.compare(0, common, text, 0, common) != 0)
      wrong("a text that differs from the one before: " + key);
    if (text.size() > known.size()) known = text;
  }

 private:
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }

  void next() {
    if (elapsed() > options_.seconds) return;
    if (options_.requests > 0 && report_.started >= options_.requests) return;
    ++report_.started;
    ++active_;
    std::make_shared<Stream>(*this, io_, plan())->start();
  }

  Plan plan() {
    Plan p;
    const double dice = std::uniform_real_distribution<>(0, 1)(rng_);
    if (dice < options_.cancel) {
      p.behaviour = Behaviour::kCancel;
    } else if (dice < options_.cancel + options_.reset) {
      p.behaviour = Behaviour::kReset;
    } else if (dice < options_.cancel + options_.reset + options_.stall) {
      p.behaviour = Behaviour::kStall;
    }
    const auto topic = rng_() % 16;
    const auto detail = rng_() % 4;
    const auto seed = rng_() % 4;
    const std::string prompt = fmt::format("{:a>{}} topic {} detail {}", "", 40 + 10 * topic, topic, detail);
    const int tokens = p.behaviour == Behaviour::kStall
                           ? options_.stalled_tokens
                           : std::uniform_int_distribution(options_.min_tokens, options_.max_tokens)(rng_);
    p.key = fmt::format("{}/{}/{}", topic, detail, seed);
    p.leave_after = rng_() % 8000;
    p.body = fmt::format(R"({{"prompt":"{}","seed":{},"max_tokens":{},"stream":true,"ignore_eos":true}})",
                         prompt, seed, tokens);
    return p;
  }

  void tick() {
    second_.expires_after(std::chrono::seconds(1));
    second_.async_wait([this](const Error& error) {
      if (error || over_) return;
      if (options_.on_second)
        options_.on_second(elapsed(),
                           report_.completed + report_.cancelled + report_.reset + report_.stalled);
      tick();
    });
  }

  ClientOptions options_;
  asio::io_context io_;
  std::mt19937_64 rng_;
  Clock::time_point begin_;
  asio::steady_timer second_;
  std::map<std::string, std::string> texts_;
  ClientReport report_;
  int active_ = 0;
  bool over_ = false;
};

void Stream::start() {
  Error ignored;
  socket_.open(tcp::v4(), ignored);
  // A window that fills soon, so that what is not read waits on the server's side.
  if (plan_.behaviour == Behaviour::kStall)
    socket_.set_option(asio::socket_base::receive_buffer_size(4096), ignored);
  socket_.async_connect({asio::ip::address_v4::loopback(), clients_.options().port},
                        [self = shared_from_this()](const Error& error) {
                          if (!error) return self->write();
                          self->clients_.wrong("no connection: " + error.message());
                          self->finish();
                        });
}

void Stream::write() {
  request_ = request_of(plan_.body);
  asio::async_write(socket_, asio::buffer(request_), [self = shared_from_this()](const Error& error, size_t) {
    if (error) {
      self->clients_.wrong("a request that could not be sent: " + error.message());
      return self->finish();
    }
    self->read();
  });
}

void Stream::read() {
  socket_.async_read_some(
      asio::buffer(buffer_),
      [self = shared_from_this()](const Error& error, size_t size) { self->on_read(error, size); });
}

void Stream::on_read(const Error& error, size_t size) {
  num_read_ += size;
  check_.feed({buffer_.data(), size});
  ClientReport& report = clients_.report();
  if (const std::string wrong = check_.wrong(false); !wrong.empty()) clients_.wrong(wrong);
  if (error) {
    if (check_.status() == 429) {
      ++report.refused;
    } else if (check_.status() != 200) {
      clients_.wrong(fmt::format("status {}", check_.status()));
    } else if (const std::string wrong = check_.wrong(true); !wrong.empty()) {
      clients_.wrong(wrong);
    } else {
      ++report.completed;
      report.events += static_cast<uint64_t>(check_.num_frames());
      clients_.check_text(plan_.key, check_.text());
    }
    return finish();
  }
  if (plan_.behaviour == Behaviour::kStall && check_.num_frames() > 0) return stall();
  if (plan_.behaviour != Behaviour::kRead && num_read_ >= plan_.leave_after) return leave();
  read();
}

// Reads nothing for a while, then looks whether the server has given it up.
void Stream::stall() {
  timer_.expires_after(
      std::chrono::milliseconds(static_cast<int64_t>(clients_.options().stall_seconds * 1000)));
  timer_.async_wait([self = shared_from_this()](const Error&) {
    ++self->clients_.report().stalled;
    Error error;
    std::array<char, 65536> rest;
    self->socket_.non_blocking(true, error);
    while (!error) self->socket_.read_some(asio::buffer(rest), error);
    if (error != asio::error::would_block) ++self->clients_.report().stalled_cut;
    self->finish();
  });
}

void Stream::leave() {
  Error ignored;
  ClientReport& report = clients_.report();
  if (plan_.behaviour == Behaviour::kReset) {
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    ++report.reset;
  } else {
    ++report.cancelled;
  }
  finish();
}

void Stream::finish() {
  Error ignored;
  socket_.close(ignored);
  clients_.ended();
}

}  // namespace

ClientReport run_clients(const ClientOptions& options) { return Clients(options).run(); }

std::string canary(uint16_t port) {
  ClientOptions options;
  options.port = port;
  options.streams = 1;
  options.requests = 1;
  options.cancel = options.reset = options.stall = 0;
  options.probe = false;
  const ClientReport report = run_clients(options);
  if (report.completed == 1 && report.num_wrong == 0) return "";
  return report.wrong.empty() ? "it was not answered" : report.wrong.front();
}

}  // namespace pegainfer::load
