// The traceparent header of W3C Trace Context: which trace a request is part of.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pegainfer::trace {

struct TraceParent {
  std::string trace_id;  // [32] lower-case hexadecimal digits
  std::string span_id;   // [16]
  bool sampled = false;
};

// Nothing when the text is not one: the request then begins a trace of its own, as the standard has it.
std::optional<TraceParent> parse_trace_parent(std::string_view text);

}  // namespace pegainfer::trace
