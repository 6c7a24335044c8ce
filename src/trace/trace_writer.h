// A trace as a file in Chrome's trace event format (JSON object form), which Perfetto and chrome://tracing
// open.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "pegainfer/result.h"
#include "trace/trace_data.h"

namespace pegainfer::trace {

// Calls `put` with pieces of the JSON text, in order.
void write_json(const TraceData& data, const std::string& model_name,
                const std::function<void(std::string_view)>& put);

// Written under another name first: who finds `path` finds all of it.
Status write_file(const TraceData& data, const std::string& model_name, const std::string& path);

}  // namespace pegainfer::trace
