#include "trace/otlp_span.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "base/json.h"

namespace pegainfer::trace {
namespace {

constexpr int kInternal = 1;  // SpanKind
constexpr int kServer = 2;
constexpr int kStatusError = 2;
constexpr int kSampled = 0x1;
constexpr int kKnowsRemote = 0x100;
constexpr int kIsRemote = 0x200;
constexpr double kNsPerSecond = 1e9;

class Attributes {
 public:
  void text(std::string_view key, std::string_view value) {
    add(key, fmt::format(R"({{"stringValue":{}}})", json::quote(value)));
  }
  void integer(std::string_view key, int64_t value) {
    add(key, fmt::format(R"({{"intValue":"{}"}})", value));
  }
  void number(std::string_view key, double value) {
    if (std::isfinite(value)) add(key, fmt::format(R"({{"doubleValue":{}}})", value));
  }
  void one_text(std::string_view key, std::string_view value) {
    add(key, fmt::format(R"({{"arrayValue":{{"values":[{{"stringValue":{}}}]}}}})", json::quote(value)));
  }
  // Seconds between two moments, when both were reached.
  void interval(std::string_view key, int64_t begin, int64_t end) {
    if (begin != 0 && end != 0) number(key, static_cast<double>(end - begin) / kNsPerSecond);
  }
  [[nodiscard]] const std::string& json() const { return json_; }

 private:
  void add(std::string_view key, std::string_view value) {
    if (!json_.empty()) json_ += ',';
    fmt::format_to(std::back_inserter(json_), R"({{"key":{},"value":{}}})", json::quote(key), value);
  }
  std::string json_;
};

// In the order of FinishReason, as metrics name them.
std::string_view reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "abort";
    case FinishReason::kTimeout: return "timeout";
    case FinishReason::kError: return "error";
  }
  return "error";
}

struct Piece {
  std::string_view name;
  int kind = kInternal;
  std::string span_id;
  std::string parent_id;
  int flags = kSampled | kKnowsRemote;
  int64_t begin = 0;
  int64_t end = 0;
};

void append_span(std::string& out, const LlmSpan& request, const Piece& piece, const Attributes& attributes,
                 std::string_view status) {
  if (out.back() != '[') out += ',';
  fmt::format_to(std::back_inserter(out),
                 R"({{"traceId":"{}","spanId":"{}","parentSpanId":"{}","flags":{},"name":"{}","kind":{},)"
                 R"("startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[{}],"status":{{{}}}}})",
                 request.trace_id, piece.span_id, piece.parent_id, piece.flags, piece.name, piece.kind,
                 piece.begin, piece.end, attributes.json(), status);
}

Attributes describe(const LlmSpan& r, const std::string& model_name) {
  Attributes a;
  a.text("gen_ai.provider.name", "pegainfer");
  a.text("gen_ai.response.model", model_name);
  a.text("gen_ai.request.id", r.request_id);
  a.integer("gen_ai.request.n", r.num_choices);
  a.integer("gen_ai.request.max_tokens", r.max_tokens);
  a.number("gen_ai.request.temperature", r.temperature);
  a.number("gen_ai.request.top_p", r.top_p);
  if (r.top_k > 0) a.integer("gen_ai.request.top_k", r.top_k);
  a.one_text("gen_ai.response.finish_reasons", reason_name(r.reason));
  a.integer("gen_ai.usage.prompt_tokens", r.usage.prompt_tokens);
  a.integer("gen_ai.usage.completion_tokens", r.usage.completion_tokens);
  // The same under the names of OpenTelemetry's conventions.
  a.integer("gen_ai.usage.input_tokens", r.usage.prompt_tokens);
  a.integer("gen_ai.usage.output_tokens", r.usage.completion_tokens);
  a.integer("gen_ai.usage.cache_read.input_tokens", r.usage.cached_tokens);
  a.interval("gen_ai.latency.time_in_queue", r.queued, r.scheduled);
  a.interval("gen_ai.latency.time_to_first_token", r.arrival, r.first_token);
  a.interval("gen_ai.latency.e2e", r.arrival, r.finished);
  a.number("gen_ai.latency.time_in_scheduler", r.seconds_planning);
  a.interval("gen_ai.latency.time_in_model_prefill", r.scheduled, r.first_token);
  a.interval("gen_ai.latency.time_in_model_decode", r.first_token, r.last_token);
  a.interval("gen_ai.latency.time_in_model_inference", r.scheduled, r.last_token);
  if (r.num_preemptions > 0) a.integer("pegainfer.num_preemptions", r.num_preemptions);
  return a;
}

void append_request(std::string& out, const LlmSpan& r, const std::string& model_name,
                    const std::function<std::string()>& new_span_id) {
  Piece whole{.name = "llm_request", .kind = kServer, .span_id = new_span_id(), .parent_id = r.parent_id};
  if (!r.parent_id.empty()) whole.flags |= kIsRemote;
  whole.begin = r.arrival;
  whole.end = r.finished;
  const bool failed = r.reason == FinishReason::kError || r.reason == FinishReason::kTimeout;
  const std::string status =
      failed ? fmt::format(R"("code":{},"message":{})", kStatusError, json::quote(r.message)) : "";
  append_span(out, r, whole, describe(r, model_name), status);
  const auto child = [&](std::string_view name, int64_t begin, int64_t end) {
    if (begin == 0 || end == 0) return;
    append_span(out, r,
                {.name = name,
                 .span_id = new_span_id(),
                 .parent_id = whole.span_id,
                 .begin = begin,
                 .end = std::max(begin, end)},
                {}, "");
  };
  child("queue", r.queued, r.scheduled == 0 ? r.finished : r.scheduled);
  child("prefill", r.scheduled, r.first_token == 0 ? r.finished : r.first_token);
  child("decode", r.first_token, r.last_token);
}

}  // namespace

std::string to_otlp_json(std::span<const LlmSpan> spans, const OtlpAttributes& resource,
                         const std::string& model_name, const std::function<std::string()>& new_span_id) {
  Attributes who;
  for (const auto& [key, value] : resource) who.text(key, value);
  std::string out = fmt::format(
      R"({{"resourceSpans":[{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"scope":{{"name":"pegainfer"}},"spans":[)",
      who.json());
  for (const LlmSpan& span : spans) append_request(out, span, model_name, new_span_id);
  return out + "]}]}]}";
}

}  // namespace pegainfer::trace
