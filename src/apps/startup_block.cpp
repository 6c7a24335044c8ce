#include "apps/startup_block.h"

#include <fmt/format.h>

#include "base/log_event.h"

namespace pegainfer::apps {
namespace {

std::string choice(int value, const char* unit) {
  return value == 0 ? fmt::format("{} as chosen for this machine", unit) : fmt::format("{} {}", value, unit);
}

std::string sampling(const openai::SamplingDefaults& d) {
  return fmt::format("temperature {}, top_p {}, top_k {}, min_p {}, repetition_penalty {}",
                     d.temperature.value_or(1.0), d.top_p.value_or(1.0), d.top_k.value_or(0),
                     d.min_p.value_or(0.0), d.repetition_penalty.value_or(1.0));
}

std::string access(const http::Options& http) {
  std::string out =
      http.keys.needs_key() ? "by API key"
      : http.keys.any()
          ? "no API key but for what changes the server: whoever reaches the address is answered"
          : "no API key: whoever reaches the address is answered";
  if (http.keys.needs_key() && http.keys.several_clients()) out += ", caches and places by client";
  if (http.tls) out += "; TLS";
  if (!http.cors.origins.empty()) out += fmt::format("; pages of {}", fmt::join(http.cors.origins, ", "));
  return out;
}

}  // namespace

StartupFacts startup_facts(const EngineOptions& options, const LoadedEngine& loaded) {
  return {.engine = loaded.engine->info(),
          .device = loaded.backend->description(),
          .kv_dtype = options.kv_cache_dtype,
          .kv_tokens = loaded.memory.kv_tokens(),
          .full_length_requests = loaded.memory.full_length_requests(),
          .load_seconds = loaded.load_seconds,
          .max_num_seqs = options.max_num_seqs,
          .max_num_batched_tokens = options.max_num_batched_tokens,
          .max_queued_requests = options.max_queued_requests,
          .prefix_caching = options.enable_prefix_caching};
}

std::vector<std::string> startup_lines(const StartupFacts& f, const server::ServedModel& model,
                                       const server::AppOptions& app, const std::string& url) {
  const std::string queue =
      f.max_queued_requests == 0 ? "any number may wait" : fmt::format("{} may wait", f.max_queued_requests);
  const std::string timeout = app.service.request_timeout.count() > 0
                                  ? fmt::format("{} s a request", app.service.request_timeout.count())
                                  : std::string("no time limit");
  return {
      fmt::format("serving at {} after {:.1f} s", url, f.load_seconds),
      fmt::format("  model      {} ({}), in {}", fmt::join(model.names, ", "), f.engine.architecture,
                  f.engine.dtype),
      fmt::format("  device     {}", f.device),
      fmt::format("  KV cache   {} tokens ({}): {:.1f} requests of full length, {} tokens; prefix cache {}",
                  f.kv_tokens, f.kv_dtype, f.full_length_requests, f.engine.max_model_len,
                  f.prefix_caching ? "on" : "off"),
      fmt::format("  limits     {}, {}, {}; {}; bodies of {} bytes, {} connections",
                  choice(f.max_num_seqs, "requests at a time"),
                  choice(f.max_num_batched_tokens, "tokens a step"), queue, timeout, app.http.limits.max_body,
                  app.http.limits.max_connections),
      fmt::format("  sampling   {} (where a request says nothing)", sampling(model.defaults)),
      fmt::format("  access     {}", access(app.http)),
  };
}

void log_startup(const StartupFacts& f, const server::ServedModel& model, const server::AppOptions& app,
                 const std::string& url) {
  const std::vector<std::string> lines = startup_lines(f, model, app, url);
  log_event(LogLevel::kInfo, lines.front(),
            {{"url", url},
             {"model", model.names.front()},
             {"architecture", f.engine.architecture},
             {"dtype", f.engine.dtype},
             {"device", f.device},
             {"kv_tokens", int64_t{f.kv_tokens}},
             {"max_model_len", int64_t{f.engine.max_model_len}},
             {"full_length_requests", f.full_length_requests},
             {"load_seconds", f.load_seconds}});
  for (size_t i = 1; i < lines.size(); ++i) LOG_INFO("{}", lines[i]);
}

}  // namespace pegainfer::apps
