#include "server/app.h"

#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "server/http/server.h"
#include "server/routes.h"
#include "server/service.h"

namespace pegainfer::server {
namespace {

using std::chrono::steady_clock;

// For the last bytes to reach clients after the engine has come to rest.
constexpr std::chrono::milliseconds kLastBytes{2'000};

class App {
 public:
  explicit App(AppOptions options) : options_(std::move(options)), service_(options_.service, load_status_) {}

  Status run(const ModelLoader& load) {
    ASSIGN_OR_RETURN(server_, http::HttpServer::listen(options_.http, http::Router(routes(service_))));
    service_.attach(server_->poster());
    service_.set_watching(options_.watching);
    std::vector<int> signals{SIGINT, SIGTERM};
    if (options_.http.tls) signals.push_back(SIGHUP);
    server_->on_signals(signals, [this](int signal) { signal == SIGHUP ? on_hangup() : on_signal(); });
    if (options_.on_listening) options_.on_listening(server_->url());
    start_loading(load);
    server_->run();
    if (shutdown_.joinable()) shutdown_.join();
    if (loading_.joinable()) loading_.join();
    if (error_) return *error_;
    return ok_status();
  }

 private:
  void start_loading(const ModelLoader& load) {
    loading_ = std::jthread([this, load, poster = server_->poster()] {
      const auto on_dead = [this, poster](const std::string& reason) {
        poster.post([this, reason] { on_engine_dead(reason); });
      };
      poster.post([this, model = load({*load_status_, on_dead})]() mutable { on_loaded(std::move(model)); });
    });
  }

  void on_loaded(Result<ServedModel> model) {
    loaded_ = true;
    if (!model) {
      error_ = model.error();
      return server_->stop();
    }
    LOG_INFO("ready: {} at {}", model->names.front(), server_->url());
    service_.set_model(*std::move(model));
    const Lifecycle& lifecycle = options_.lifecycle;
    if (lifecycle.on_ready) lifecycle.on_ready(*service_.model(), server_->url());
    if (lifecycle.on_alive) tell_alive();
  }

  // Silence is what makes a watchdog act: an engine that is stuck is not alive, whatever this thread can do.
  void tell_alive() {
    const EngineStats stats = service_.model()->engine->stats();
    if (stats.healthy && stats.seconds_since_progress <= options_.service.engine_stall_timeout.count())
      options_.lifecycle.on_alive();
    server_->after(options_.lifecycle.alive_interval, [this] { tell_alive(); });
  }

  // Every client is told first: their errors are already on their way.
  void on_engine_dead(const std::string& reason) {
    if (error_) return;
    error_ = internal_error("the engine failed: " + reason);
    LOG_ERROR("{}; the server ends", error_->message);
    server_->drain([this] { server_->stop(); });
    server_->after(kLastBytes, [this] { server_->stop(); });
  }

  // A renewed certificate is taken up without a restart.
  void on_hangup() {
    const Status reloaded = server_->reload_tls();
    if (reloaded) {
      LOG_INFO("the TLS certificate has been read again");
    } else {
      LOG_ERROR("the TLS certificate stays as it was: {}", reloaded.error().message);
    }
  }

  void on_signal() {
    if (!loaded_) {           // the loader cannot be interrupted, and nothing it holds has to be put in order
      server_->drain([] {});  // the port is free, the Unix socket's name gone
      LOG_INFO("stopped while loading");
      std::quick_exit(EXIT_SUCCESS);
    }
    if (num_signals_++ == 0) return begin_shutdown();
    LOG_INFO("second signal: requests under way are dropped");
    service_.model()->engine->shutdown(steady_clock::now());
    server_->abort_all();
    server_->stop();
  }

  void begin_shutdown() {
    LOG_INFO("shutting down: {} requests under way may finish within {} s; a second signal drops them",
             service_.num_jobs(), options_.shutdown_timeout.count() / 1000);
    service_.begin_drain();
    if (options_.lifecycle.on_shutdown) options_.lifecycle.on_shutdown();
    const auto deadline = steady_clock::now() + options_.shutdown_timeout;
    shutdown_ = std::jthread([this, deadline, engine = service_.model()->engine, poster = server_->poster()] {
      engine->shutdown(deadline);
      poster.post([this] { server_->after(kLastBytes, [this] { server_->stop(); }); });
    });
    server_->drain([this] { server_->stop(); });
  }

  AppOptions options_;
  std::shared_ptr<LoadStatus> load_status_ = std::make_shared<LoadStatus>();
  Service service_;
  std::unique_ptr<http::HttpServer> server_;
  std::optional<Error> error_;
  bool loaded_ = false;
  int num_signals_ = 0;
  std::jthread loading_;
  std::jthread shutdown_;
};

}  // namespace

Status run_app(AppOptions options, const ModelLoader& load) { return App(std::move(options)).run(load); }

}  // namespace pegainfer::server
