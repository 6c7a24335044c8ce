// One request run to its end outside the server: what `generate` does between loading and printing.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text_stream.h"
#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::apps {

struct Generation {
  std::string text;
  std::vector<TokenId> token_ids;
  std::vector<TokenId> prompt_token_ids;
  Finish finish;
  std::string stop_string;  // "" when none ended it
  Usage usage;
  double prompt_seconds = 0;     // from the request to its first token
  double predicted_seconds = 0;  // from the first token to the last
  bool interrupted = false;
};

struct GenerationRequest {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  TextOptions text;
};

// `on_text` gets the text as it becomes certain, on the calling thread. SIGINT and SIGTERM end the request;
// the caller has blocked them (block_interrupts).
Result<Generation> run_generation(Engine& engine, const Tokenizer& tokenizer,
                                  const GenerationRequest& request,
                                  const std::function<void(std::string_view)>& on_text);

// One JSON object with llama-server's names of timings, and a newline.
std::string generation_json(const Generation& generation, double load_seconds);
// "prompt 20 tokens, 1234.5 tok/s; ..." for standard error.
std::string generation_figures(const Generation& generation, double load_seconds);

}  // namespace pegainfer::apps
