#include "apps/server_flags.h"

#include <CLI/CLI.hpp>
#include <chrono>

#include "apps/exit_code.h"
#include "apps/human_number.h"
#include "apps/otlp_flags.h"
#include "sampling/validate.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kServerGroup = "Server";
constexpr const char* kLimitsGroup = "Limits";
constexpr const char* kWatchGroup = "Watching";

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

}  // namespace

void add_serve_flags(CLI::App& command, ServeFlags& flags) {
  add_model_flags(command, flags.model);
  add_chat_flags(command, flags.chat);
  add_watch_flags(command, flags.watch);
  add_security_flags(command, flags.security, flags.app.http);
  add_log_flags(command, flags.log);
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

Status apply_serve_flags(ServeFlags& flags) {
  RETURN_IF_ERROR(apply_security_flags(flags.security, flags.app.http));
  ASSIGN_OR_RETURN(const int64_t max_body, parse_human_number(flags.max_body, "--max-body-bytes"));
  if (max_body < 1) return invalid_argument("--max-body-bytes must be at least 1", "--max-body-bytes");
  flags.app.http.limits.max_body = static_cast<size_t>(max_body);
  flags.app.shutdown_timeout = std::chrono::milliseconds(static_cast<int64_t>(flags.shutdown_seconds * 1000));
  flags.app.service.request_timeout = std::chrono::duration<double>(flags.request_timeout);
  flags.app.service.engine_stall_timeout = std::chrono::duration<double>(flags.stall_seconds);
  flags.app.http.timeouts.write_stall =
      std::chrono::milliseconds(static_cast<int64_t>(flags.write_stall_seconds * 1000));
  return ok_status();
}

}  // namespace pegainfer::apps
