// The flags that say how text is chosen and where it ends; `generate` and `chat` share them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/sampling_params.h"
#include "server/openai/generation_options.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct SamplingFlags {
  std::optional<int> max_tokens;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
};

// `flags` must outlive the parsing. `default_length`: what --max-tokens is without it, for its help.
void add_sampling_flags(CLI::App& command, SamplingFlags& flags, const std::string& default_length);
// max_tokens is left to the caller.
SamplingParams to_sampling(const SamplingFlags& flags, const openai::SamplingDefaults& defaults);

}  // namespace pegainfer::apps
