#include "load/server_process.h"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "server/app.h"
#include "sim/sim_engine.h"
#include "tokenizer/byte_tokenizer.h"

namespace pegainfer::load {
namespace {

enum ExitCode { kFine = 0, kAppFailed = 10, kNotIdle = 11, kBlocksLost = 12, kUnhealthy = 13 };

std::shared_ptr<Engine> make_engine(const ServerOptions& options) {
  sim::SimEngineOptions sim;
  sim.profile.name = "load";
  sim.profile.step_overhead_s = options.step_seconds;
  sim.profile.num_kv_blocks = options.num_kv_blocks;
  sim.profile.vocab_size = ByteTokenizer::kVocabSize;
  sim.engine.max_num_seqs = options.max_num_seqs;
  sim.engine.max_num_batched_tokens = options.max_num_seqs + 4096;
  sim.engine.max_queued_requests = options.max_queued_requests;
  return sim::make_sim_engine(std::move(sim));
}

int check(const Engine& engine) {
  const EngineStats stats = engine.stats();
  if (!stats.healthy) return kUnhealthy;
  if (stats.num_running != 0 || stats.num_waiting != 0) return kNotIdle;
  if (stats.num_free_blocks != stats.num_total_blocks) return kBlocksLost;
  return kFine;
}

int serve(const ServerOptions& options, int port_pipe) {
  set_log_level(LogLevel::kError);
  std::signal(SIGPIPE, SIG_IGN);
  const std::shared_ptr<Engine> engine = make_engine(options);
  server::AppOptions app;
  app.http.port = 0;
  app.http.limits.max_connections = 1 << 16;
  app.http.limits.socket_send_buffer = 16 << 10;  // so that a client which stops reading is soon noticed
  app.http.timeouts.write_stall =
      std::chrono::milliseconds(static_cast<int64_t>(options.write_stall_seconds * 1000));
  app.shutdown_timeout = std::chrono::seconds(10);
  app.on_listening = [port_pipe](const std::string& url) {
    const auto port = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    CHECK(write(port_pipe, &port, sizeof port) == sizeof port, "the port could not be said");
  };
  const Status served = server::run_app(app, [&](const server::LoadContext&) -> Result<server::ServedModel> {
    server::ServedModel model;
    model.engine = engine;
    model.tokenizer = std::make_shared<ByteTokenizer>();
    model.names = {"sim"};
    return model;
  });
  if (!served) return kAppFailed;
  return check(*engine);
}

}  // namespace

ServerProcess::ServerProcess(const ServerOptions& options) {
  int ends[2];
  CHECK(pipe(ends) == 0, "no pipe");
  pid_ = fork();
  CHECK(pid_ >= 0, "no second process");
  if (pid_ == 0) {
    close(ends[0]);
    _exit(serve(options, ends[1]));
  }
  close(ends[1]);
  CHECK(read(ends[0], &port_, sizeof port_) == sizeof port_, "the server did not come up");
  close(ends[0]);
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) stop();
}

size_t ServerProcess::rss_bytes() const {
  std::ifstream status(fmt::format("/proc/{}/status", pid_));
  for (std::string word; status >> word;) {
    size_t kib = 0;
    if (word == "VmRSS:" && status >> kib) return kib * 1024;
  }
  return 0;
}

size_t ServerProcess::num_descriptors() const {
  size_t count = 0;
  if (DIR* dir = opendir(fmt::format("/proc/{}/fd", pid_).c_str())) {
    while (readdir(dir) != nullptr) ++count;
    closedir(dir);
  }
  return count;
}

int ServerProcess::stop() {
  kill(pid_, SIGTERM);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace pegainfer::load
