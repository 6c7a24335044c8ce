// What a benchmark sends: prompts, lengths and times of arrival. The same seed gives the same workload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::bench {

struct BenchRequest {
  std::vector<TokenId> prompt;  // empty when there is only text
  std::string text;             // "" when there are only ids
  int prompt_len = 0;           // tokens; of a text without a tokenizer: words
  int output_len = 0;
  double arrival = 0;  // [s] from the start
};

// vLLM's random data set: lengths uniform in [len * (1 - range_ratio), len * (1 + range_ratio)].
struct RandomOptions {
  int num_prompts = 1000;
  int input_len = 1024;
  int output_len = 128;
  double range_ratio = 0;  // [0, 1)
  int prefix_len = 0;      // tokens that all prompts begin with, beside input_len
  uint64_t seed = 0;
};

// Ids uniform in [first_id, first_id + num_ids).
struct IdRange {
  TokenId first_id = 0;
  int num_ids = 1;
};
Result<std::vector<BenchRequest>> random_ids(const RandomOptions& options, const IdRange& range);
// Text that `tokenizer` encodes to exactly the wanted number of tokens, special ones included.
Result<std::vector<BenchRequest>> random_text(const RandomOptions& options, const Tokenizer& tokenizer);
// English words, for servers whose tokenizer is not known; a word is about a token.
Result<std::vector<BenchRequest>> random_words(const RandomOptions& options);

// One JSON object a line: {"prompt": "...", "output_tokens": 128}; the latter may be left out. At most
// `num_prompts`, in the file's order.
Result<std::vector<BenchRequest>> custom_dataset(const std::string& path, int num_prompts, int output_len);
// One JSON object a line: {"arrival_s": 0.5, "prompt_tokens": 100, "output_tokens": 20}. Prompts are ids at
// random, sorted by arrival.
Result<std::vector<BenchRequest>> trace_dataset(const std::string& path, const IdRange& range, uint64_t seed);

// Times of arrival at `rate` a second: intervals of a gamma distribution with shape `burstiness` (1: a
// Poisson process), scaled so that the last request arrives at count / rate. Infinite rate: all at once.
void set_arrivals(std::vector<BenchRequest>& requests, double rate, double burstiness, uint64_t seed);

}  // namespace pegainfer::bench
