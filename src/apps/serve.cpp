// `pegainfer serve`: flags to options, and the model as the server wants it.
#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/chat_flags.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/human_number.h"
#include "apps/load_with_progress.h"
#include "apps/model_flags.h"
#include "apps/progress.h"
#include "apps/sampling_defaults.h"
#include "apps/watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/load_engine.h"
#include "sampling/validate.h"
#include "server/app.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kServerGroup = "Server";
constexpr const char* kLimitsGroup = "Limits";
constexpr const char* kWatchGroup = "Watching";

struct ServeFlags {
  ModelFlags model;
  ChatFlags chat;
  server::AppOptions app;
  WatchFlags watch;
  std::vector<std::string> served_names;
  std::string max_body = "8M";
  double shutdown_seconds = 30;
  double request_timeout = 0;
  double stall_seconds = 60;
  std::optional<uint64_t> seed;
  double write_stall_seconds = 30;
};

void add_watch_flags(CLI::App& command, WatchFlags& flags) {
  add_otlp_flags(command, flags.otlp);
  command
      .add_option(
          "--trace-dir", flags.trace_dir,
          "Write a Chrome trace of steps and requests into this folder at the end, or at POST /stop_profile")
      ->group(kWatchGroup);
  command.add_flag("--disable-log-stats", flags.disable_log_stats, "No line of figures every ten seconds")
      ->group(kWatchGroup);
}

void add_flags(CLI::App& command, ServeFlags& flags) {
  add_model_flags(command, flags.model);
  add_chat_flags(command, flags.chat);
  add_watch_flags(command, flags.watch);
  command
      .add_option(
          "--seed", flags.seed,
          "Of requests that bring none, and of the weights of --load-format dummy; default: random, 0")
      ->group(kServerGroup);
  http::Options& http = flags.app.http;
  openai::ApiLimits& api = flags.app.service.api;
  command.add_option("--host", http.host, "Address to listen on; 0.0.0.0: all of this machine")
      ->capture_default_str()
      ->group(kServerGroup);
  command.add_option("-p,--port", http.port, "Port; 0: a free one, which is printed")
      ->capture_default_str()
      ->group(kServerGroup);
  command
      .add_option("--served-model-name,-a,--alias", flags.served_names,
                  "Names clients may use, the first one is that of answers; * is any; default: the model's")
      ->group(kServerGroup);
  command
      .add_option("--allowed-host", http.allowed_hosts,
                  "Another Host to answer for while listening on a loopback address")
      ->group(kServerGroup);
  command
      .add_option("--shutdown-timeout", flags.shutdown_seconds,
                  "Seconds that requests under way may take to finish after SIGTERM or Ctrl-C")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str()
      ->group(kServerGroup);
  command
      .add_option(
          "--request-timeout", flags.request_timeout,
          "Seconds a request may take in all, in the queue and running, when its body names no timeout; "
          "0: no limit")
      ->check(CLI::Range(0.0, 604800.0))
      ->capture_default_str()
      ->group(kServerGroup);
  command
      .add_option("--engine-stall-timeout", flags.stall_seconds,
                  "Not ready (/readyz, /health) when there is work and no step ended for so many seconds")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str()
      ->group(kServerGroup);
  command
      .add_option("--max-logprobs", api.max_logprobs,
                  "Most logprobs, top_logprobs and prompt_logprobs that a request may ask for")
      ->check(CLI::Range(0, kMaxLogprobs))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command
      .add_option("--write-stall-timeout", flags.write_stall_seconds,
                  "Seconds without a client taking a byte of its answer, until it is dropped")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command
      .add_option("--max-stream-buffer-bytes", http.limits.max_pending,
                  "Bytes that may wait for a slow reader of a stream, until it is dropped")
      ->check(CLI::Range(size_t{1024}, size_t{1} << 30U))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command.add_option("--max-connections", http.limits.max_connections, "Connections at the same time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command.add_option("--max-body-bytes", flags.max_body, "Largest request body: bytes, as 8M")
      ->capture_default_str()
      ->group(kLimitsGroup);
  command.add_option("--max-n", api.max_n, "Largest n of a request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command.add_option("--max-prompts", api.max_prompts, "Most prompts, and choices in all, of a request")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str()
      ->group(kLimitsGroup);
  command.footer(kExitCodesHelp);
}

Watch::Served describe(const EngineOptions& options, const std::string& name, const LoadedEngine& loaded) {
  Watch::Served served{.model_name = name, .device = loaded.backend->name() == "cpu" ? "" : "GPU "};
  served.cache_config = {{"cache_dtype", options.kv_cache_dtype},
                         {"enable_prefix_caching", options.enable_prefix_caching ? "True" : "False"},
                         {"gpu_memory_utilization", fmt::format("{}", options.gpu_memory_utilization)},
                         {"num_cpu_blocks", "0"}};
  return served;
}

// The names that clients may use: one that answers carry first, "*" behind it.
std::vector<std::string> served_names(std::vector<std::string> names, const std::string& model_name) {
  const auto any = std::ranges::stable_partition(names, [](const std::string& n) { return n != "*"; });
  if (any.begin() == names.begin()) names.insert(names.begin(), model_name);
  return names;
}

Result<server::ServedModel> load(EngineOptions options, const std::vector<std::string>& names,
                                 const ChatSetup& chat, Watch& watch, const server::LoadContext& context) {
  options.on_dead = context.on_dead;
  options.observers = watch.observers();
  ProgressBar bar = ProgressBar::to_stderr();
  const Stopwatch stopwatch;
  const auto on_progress = [&](const EngineLoadProgress& progress) {
    context.status.bytes_total = progress.bytes_total;
    context.status.bytes_done = progress.bytes_done;
    bar.update(progress.bytes_done, progress.bytes_total, stopwatch.seconds());
  };
  auto engine = load_engine(options, on_progress);
  bar.finish();
  if (!engine) return std::move(engine).error();
  const auto loaded = std::make_shared<LoadedEngine>(*std::move(engine));
  server::ServedModel model;
  model.engine = std::shared_ptr<Engine>(loaded, loaded->engine.get());
  model.tokenizer = loaded->tokenizer;
  model.defaults = sampling_defaults(loaded->generation);
  ASSIGN_OR_RETURN(model.chat, make_chat_model(chat, chat_files(*loaded), *loaded->tokenizer));
  model.names = served_names(names, loaded->engine->info().model_name);
  model.created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  watch.engine_ready(model.engine, describe(options, model.names.front(), *loaded));
  return model;
}

// Each client is a file descriptor, and the usual soft limit of 1,024 is a small number of clients.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Status serve(ServeFlags& flags) {
  ASSIGN_OR_RETURN(EngineOptions engine, to_engine_options(flags.model));
  engine.seed = flags.seed;
  engine.dummy_seed = flags.seed.value_or(0);
  for (auto name = flags.served_names.rbegin(); name != flags.served_names.rend(); ++name)
    if (*name != "*") engine.served_model_name = *name;
  ASSIGN_OR_RETURN(const ChatSetup chat, to_chat_setup(flags.chat));
  ASSIGN_OR_RETURN(const int64_t max_body, parse_human_number(flags.max_body, "--max-body-bytes"));
  if (max_body < 1) return invalid_argument("--max-body-bytes must be at least 1", "--max-body-bytes");
  flags.app.http.limits.max_body = static_cast<size_t>(max_body);
  flags.app.shutdown_timeout = std::chrono::milliseconds(static_cast<int64_t>(flags.shutdown_seconds * 1000));
  flags.app.service.request_timeout = std::chrono::duration<double>(flags.request_timeout);
  flags.app.service.engine_stall_timeout = std::chrono::duration<double>(flags.stall_seconds);
  flags.app.http.timeouts.write_stall =
      std::chrono::milliseconds(static_cast<int64_t>(flags.write_stall_seconds * 1000));
  // The line is for scripts that pass --port 0, so it goes to standard output, and at once.
  flags.app.on_listening = [](const std::string& url) {
    fmt::print("listening on {}\n", url);
    std::fflush(stdout);
  };
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  ASSIGN_OR_RETURN(const auto watch, Watch::create(flags.watch));
  watch->connect(flags.app);
  Status status = server::run_app(flags.app, [&](const server::LoadContext& context) {
    return load(engine, flags.served_names, chat, *watch, context);
  });
  watch->finish();
  return status;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model over HTTP, with OpenAI's endpoints");
  add_flags(*command, *flags);
  command->callback([flags, &exit_code] {
    const Status status = serve(*flags);
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace pegainfer::apps
