// Numbers as people write them on a command line.
#pragma once

#include <cstdint>
#include <string_view>

#include "pegainfer/result.h"

namespace pegainfer::apps {

// "4096", "32k" = 32,000, "32K" = 32,768, "1.5g", "2G": small letters are decimal, capitals binary, as in
// vLLM. The error names `flag`.
Result<int64_t> parse_human_number(std::string_view text, std::string_view flag);

}  // namespace pegainfer::apps
