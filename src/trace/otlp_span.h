// What is told of one finished request over OTLP, and its JSON: a span `llm_request` with the attributes that
// vLLM gives it, and in it queue, prefill and decode.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pegainfer/engine.h"

namespace pegainfer::trace {

struct LlmSpan {
  std::string trace_id;   // [32] hexadecimal digits
  std::string parent_id;  // [16], or "": it begins its trace
  std::string request_id;
  // Nanoseconds since 1970; 0: never reached.
  int64_t arrival = 0;
  int64_t queued = 0;
  int64_t scheduled = 0;
  int64_t first_token = 0;
  int64_t last_token = 0;
  int64_t finished = 0;
  double seconds_planning = 0;  // that the scheduler worked meanwhile, for all requests
  int num_preemptions = 0;
  int num_choices = 1;
  int max_tokens = 0;
  int top_k = 0;
  float temperature = 0;
  float top_p = 0;
  FinishReason reason = FinishReason::kStop;
  std::string message;
  Usage usage;
};

using OtlpAttributes = std::vector<std::pair<std::string, std::string>>;

// The body of a POST to /v1/traces (OTLP/HTTP, JSON). `resource`: who we are; `new_span_id` gives [16]
// digits.
std::string to_otlp_json(std::span<const LlmSpan> spans, const OtlpAttributes& resource,
                         const std::string& model_name, const std::function<std::string()>& new_span_id);

}  // namespace pegainfer::trace
