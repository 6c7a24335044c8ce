#include "server/http/server.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "base/log.h"
#include "server/http/connection.h"
#include "server/http/unix_socket.h"

namespace pegainfer::http {
namespace {

using boost::asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr int kBacklog = 1024;
constexpr size_t kReadBuffer = 64U << 10U;
constexpr std::chrono::milliseconds kAcceptPause{100};  // when the process has no descriptor left

Result<tcp::endpoint> resolve(boost::asio::io_context& io, const Options& options) {
  ErrorCode error;
  const auto address = boost::asio::ip::make_address(options.host, error);
  if (!error) return tcp::endpoint(address, options.port);
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, "", error);
  if (error || found.empty())
    return invalid_argument(fmt::format("--host {}: not an address and no known name", options.host), "host");
  return tcp::endpoint(found.begin()->endpoint().address(), options.port);
}

}  // namespace

struct Poster::Queue {
  std::mutex mutex;
  std::vector<std::function<void()>> work;
  boost::asio::io_context* io = nullptr;  // null once the server has gone

  void run_all() {
    std::vector<std::function<void()>> taken;
    {
      const std::lock_guard lock(mutex);
      taken.swap(work);
    }
    for (auto& f : taken) f();
  }
};

void Poster::post(std::function<void()> work) const {
  const std::lock_guard lock(queue_->mutex);
  if (queue_->io == nullptr) return;
  queue_->work.push_back(std::move(work));
  if (queue_->work.size() == 1) boost::asio::post(*queue_->io, [queue = queue_] { queue->run_all(); });
}

struct HttpServer::Impl {
  boost::asio::io_context io{1};
  boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol> acceptor{io};
  boost::asio::steady_timer accept_pause{io};
  std::unique_ptr<boost::asio::signal_set> signals;
  ConnectionContext context;
  std::shared_ptr<Poster::Queue> queue = std::make_shared<Poster::Queue>();
  tcp::endpoint endpoint;  // unless it is a Unix socket
  std::optional<UnixSocket> uds;

  Status open();
  Status open_tcp();
  Status open_unix();
  void warn_if_exposed() const;
  void accept();
  void on_accept(Socket socket);
  void wait_signal(const std::shared_ptr<std::function<void(int)>>& handler);
  void drop_all();
};

Status HttpServer::Impl::open() {
  const Options& options = context.options;
  for (const std::string& path : options.public_paths) RETURN_IF_ERROR(context.router.open(path));
  context.cors = CorsRule(options.cors);
  if (options.tls) {
    ASSIGN_OR_RETURN(context.tls, TlsContext::load(*options.tls));
  }
  return options.uds.empty() ? open_tcp() : open_unix();
}

Status HttpServer::Impl::open_tcp() {
  ASSIGN_OR_RETURN(endpoint, resolve(io, context.options));
  ErrorCode error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error == boost::asio::error::address_in_use) {
    return invalid_argument(
        fmt::format("port {} on {} is taken by another process; choose a free one with --port",
                    context.options.port, context.options.host),
        "port");
  }
  if (error) {
    return invalid_argument(fmt::format("cannot listen on {} port {}: {}", context.options.host,
                                        context.options.port, error.message()),
                            "host");
  }
  const auto bound = acceptor.local_endpoint(error);
  std::memcpy(endpoint.data(), bound.data(), std::min(bound.size(), endpoint.capacity()));
  if (endpoint.address().is_loopback()) {
    context.hosts = HostRule::loopback(context.options.allowed_hosts);
  } else {
    warn_if_exposed();
  }
  return ok_status();
}

Status HttpServer::Impl::open_unix() {
  ASSIGN_OR_RETURN(uds, UnixSocket::listen(context.options.uds, kBacklog));
  ErrorCode error;
  acceptor.assign(boost::asio::generic::stream_protocol(AF_UNIX, 0), uds->release_descriptor(), error);
  if (error) return internal_error("cannot accept on the Unix socket: " + error.message());
  return ok_status();
}

void HttpServer::Impl::warn_if_exposed() const {
  if (!context.options.keys.needs_key()) {
    LOG_WARN(
        "listening on {}, which other machines may reach, without an API key: whoever reaches it can use it. "
        "--api-key-file sets keys, --host 127.0.0.1 keeps it to this machine",
        endpoint.address().to_string());
  } else if (context.tls == nullptr) {
    LOG_WARN(
        "listening on {} without TLS: keys, prompts and answers cross the network in the clear unless a "
        "proxy "
        "encrypts them. --ssl-certfile and --ssl-keyfile switch it on",
        endpoint.address().to_string());
  }
}

void HttpServer::Impl::accept() {
  acceptor.async_accept([this](const ErrorCode& error, Socket socket) {
    if (error == boost::asio::error::operation_aborted || !acceptor.is_open()) return;
    if (!error) {
      on_accept(std::move(socket));
      return accept();
    }
    LOG_WARN("cannot accept a connection: {}", error.message());
    accept_pause.expires_after(kAcceptPause);
    accept_pause.async_wait([this](const ErrorCode& cancelled) {
      if (!cancelled) accept();
    });
  });
}

void HttpServer::Impl::on_accept(Socket socket) {
  const auto connection = std::make_shared<Connection>(std::move(socket), context);
  // A refused one is not counted: it lives only until its client has read so, or a moment longer.
  if (context.connections.size() >= context.options.limits.max_connections) return connection->refuse();
  context.connections.insert(connection);
  connection->start();
}

void HttpServer::Impl::wait_signal(const std::shared_ptr<std::function<void(int)>>& handler) {
  signals->async_wait([this, handler](const ErrorCode& error, int signal) {
    if (error) return;
    wait_signal(handler);
    (*handler)(signal);
  });
}

void HttpServer::Impl::drop_all() {
  const std::vector<std::shared_ptr<Connection>> all(context.connections.begin(), context.connections.end());
  for (const auto& connection : all) connection->drop();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(impl_->queue->mutex);
    impl_->queue->io = nullptr;
  }
  // No callback may run any more: what they refer to is the owner's and may be gone.
  const std::vector<std::function<void()>> unrun = std::exchange(impl_->queue->work, {});
  impl_->context.on_empty = nullptr;
  impl_->drop_all();
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(Options options, Router router) {
  auto impl = std::make_unique<Impl>();
  impl->context.options = std::move(options);
  impl->context.router = std::move(router);
  impl->context.read_buffer.resize(kReadBuffer);
  std::random_device random;
  impl->context.request_id_prefix = (static_cast<uint64_t>(random()) << 32U) | random();
  impl->queue->io = &impl->io;
  RETURN_IF_ERROR(impl->open());
  impl->accept();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

uint16_t HttpServer::port() const { return impl_->endpoint.port(); }

std::string HttpServer::url() const {
  if (const std::string& path = impl_->context.options.uds; !path.empty()) return "unix:" + path;
  const std::string_view scheme = impl_->context.tls == nullptr ? "http" : "https";
  const auto address = impl_->endpoint.address();
  if (address.is_v6()) return fmt::format("{}://[{}]:{}", scheme, address.to_string(), port());
  return fmt::format("{}://{}:{}", scheme, address.to_string(), port());
}

Status HttpServer::reload_tls() {
  if (impl_->context.tls == nullptr) return ok_status();
  ASSIGN_OR_RETURN(impl_->context.tls, TlsContext::load(*impl_->context.options.tls));
  return ok_status();
}

Poster HttpServer::poster() const { return Poster(impl_->queue); }

void HttpServer::run() {
  const auto keep_running = boost::asio::make_work_guard(impl_->io);
  impl_->io.run();
}

void HttpServer::stop() { impl_->io.stop(); }

void HttpServer::drain(std::function<void()> done) {
  ErrorCode ignored;
  impl_->acceptor.close(ignored);
  impl_->uds.reset();
  impl_->context.draining = true;
  impl_->context.on_empty = std::move(done);
  const std::vector<std::shared_ptr<Connection>> all(impl_->context.connections.begin(),
                                                     impl_->context.connections.end());
  for (const auto& connection : all) connection->on_drain();
  if (impl_->context.connections.empty() && impl_->context.on_empty)
    std::exchange(impl_->context.on_empty, nullptr)();
}

void HttpServer::abort_all() { impl_->drop_all(); }

void HttpServer::after(std::chrono::milliseconds delay, std::function<void()> work) {
  auto timer = std::make_shared<boost::asio::steady_timer>(impl_->io, delay);
  timer->async_wait([timer, work = std::move(work)](const ErrorCode& error) {
    if (!error) work();
  });
}

void HttpServer::on_signals(const std::vector<int>& signals, std::function<void(int)> handler) {
  impl_->signals = std::make_unique<boost::asio::signal_set>(impl_->io);
  for (const int signal : signals) impl_->signals->add(signal);
  impl_->wait_signal(std::make_shared<std::function<void(int)>>(std::move(handler)));
}

size_t HttpServer::num_connections() const { return impl_->context.connections.size(); }

}  // namespace pegainfer::http
