// The engine contract: the seam between protocol and compute. It knows tokens, not text, and no device.
// A request goes in with submit(); its sink receives events on the engine's thread, the last of which carries
// `finish`.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "pegainfer/sampling_params.h"

namespace pegainfer {

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kError };

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

// Log-probabilities at one position: the token that stands there, and the most likely ones in descending
// order.
struct PositionLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // [SamplingParams::logprobs or prompt_logprobs]
};

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;  // prompt tokens whose KV was found in the prefix cache
};

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::optional<TokenId> stop_token;  // the stop_token_ids entry that ended it; empty for EOS and for length
  std::string message;                // for kError and a shutdown's kCancelled: what happened
  Usage usage;
};

// One step's news of one request.
struct TokenEvent {
  std::vector<PositionLogprobs> prompt_logprobs;  // [prompt_tokens - 1], once, before or with the first token
  std::vector<TokenId> tokens;  // usually one; a stop or EOS token is not among them but when ignore_eos
  std::vector<PositionLogprobs> logprobs;  // [tokens] when asked for
  Usage usage;                             // so far, this event included; usage of `finish` on the last one
  std::optional<Finish> finish;            // set exactly once, on the last event
};

// Called on the engine's thread: hand the event on and return at once.
using TokenSink = std::function<void(TokenEvent)>;

struct GenerateRequest {
  std::vector<TokenId> prompt;  // at least one
  SamplingParams sampling;
  TokenSink sink;
};

struct EngineInfo {
  std::string model_name;
  std::string architecture;
  std::string dtype;      // the arithmetic
  int vocab_size = 0;     // width of the logits; every id a client names must be below it
  int max_model_len = 0;  // prompt + completion
  int num_kv_blocks = 0;
  int block_size = 0;
  std::vector<TokenId> eos_token_ids;
};

// A moment's load, for /health, metrics and tests.
struct EngineStats {
  int num_running = 0;
  int num_waiting = 0;
  int num_free_blocks = 0;
  int num_total_blocks = 0;
  uint64_t num_steps = 0;
  uint64_t prompt_tokens_total = 0;
  uint64_t generation_tokens_total = 0;
  bool healthy = true;  // false: a step failed, every request ended with kError, submit refuses
  double seconds_since_progress =
      0;  // since a step began or ended; 0 while there is no work. /health: stuck?
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Validates (length against max_model_len, ids against vocab_size) and queues. Any thread. Once it returned
  // an id, the sink gets exactly one `finish`, whatever happens; when it returned an error the sink gets
  // nothing.
  virtual Result<RequestId> submit(GenerateRequest request) = 0;
  // Asks for an end: finish.reason is kCancelled, within a step. Unknown or finished ids are fine. Any
  // thread.
  virtual void cancel(RequestId id) = 0;
  [[nodiscard]] virtual const EngineInfo& info() const = 0;
  [[nodiscard]] virtual EngineStats stats() const = 0;
  // From now on submit() refuses (kUnavailable). Requests may go on until `deadline`, those left then end
  // with kCancelled and a message. Returns when every sink has had its `finish`; the engine is then at rest.
  // A second call with an earlier deadline shortens the first. Any thread but the engine's own.
  virtual void shutdown(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace pegainfer
