// The engine contract: the seam between protocol and compute. It knows tokens, not text, and no device.
// A request goes in with submit(); its sink receives events on the engine's thread, the last of which carries
// `finish`.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "pegainfer/sampling_params.h"

namespace pegainfer {

enum class FinishReason : uint8_t { kStop, kLength, kCancelled, kTimeout, kError };

// The tokens of one event, in place up to kInline of them: a step's news must not cost an allocation.
class StepTokens {
 public:
  static constexpr size_t kInline = 8;

  StepTokens() = default;
  StepTokens(std::initializer_list<TokenId> tokens) {
    for (const TokenId token : tokens) push_back(token);
  }
  explicit StepTokens(const std::vector<TokenId>& tokens) {
    for (const TokenId token : tokens) push_back(token);
  }

  void push_back(TokenId token) {
    if (more_.empty() && size_ < kInline) {
      few_[size_++] = token;
      return;
    }
    if (more_.empty()) more_.assign(few_.begin(), few_.end());
    more_.push_back(token);
    ++size_;
  }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const TokenId* begin() const { return more_.empty() ? few_.data() : more_.data(); }
  [[nodiscard]] const TokenId* end() const { return begin() + size_; }
  [[nodiscard]] TokenId operator[](size_t i) const { return begin()[i]; }
  [[nodiscard]] TokenId front() const { return *begin(); }
  [[nodiscard]] TokenId back() const { return end()[-1]; }
  friend bool operator==(const StepTokens& a, const StepTokens& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<TokenId, kInline> few_{};
  std::vector<TokenId> more_;  // all of them, once there are more than kInline
  size_t size_ = 0;
};

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
  std::string message;                // for kError, kTimeout and a shutdown's kCancelled: what happened
  Usage usage;
};

// One step's news of one request.
struct TokenEvent {
  std::vector<PositionLogprobs> prompt_logprobs;  // [prompt_tokens - 1], once, before or with the first token
  StepTokens tokens;  // usually one; a stop or EOS token is not among them but when ignore_eos
  std::vector<PositionLogprobs> logprobs;  // [tokens] when asked for
  Usage usage;                             // so far, this event included; usage of `finish` on the last one
  std::optional<Finish> finish;            // set exactly once, on the last event
};

// Called on the engine's thread: hand the event on and return at once.
using TokenSink = std::function<void(TokenEvent)>;

// A request's place in the bounded queue, taken with Engine::reserve() before its prompt is tokenized. It is
// given back by the destructor; the engine keeps it until the request has finished.
class Admission {
 public:
  virtual ~Admission() = default;
  // The prompt's length, once it is known in place of estimated. Before submit().
  virtual void set_num_tokens(int64_t num_tokens) = 0;
  // The request runs: its tokens no longer count as queued.
  virtual void start() = 0;
};

struct GenerateRequest {
  std::vector<TokenId> prompt;  // at least one
  SamplingParams sampling;
  TokenSink sink;

  // Lower goes first; waiting makes up for it (docs/engine_contract.md).
  int priority = 0;
  // When it ends with kTimeout, queued or running.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  // Only requests of one salt share KV blocks; "": those without one.
  std::string cache_salt;
  // Choices of one prompt (n > 1) share its blocks even where the prefix cache is off: the same number, above
  // 0, drawn from Engine::new_group().
  uint64_t group = 0;
  // Before the prompt was tokenized; empty: when submit() was called.
  std::optional<std::chrono::steady_clock::time_point> arrival;
  std::unique_ptr<Admission> admission;  // null: submit() reserves itself
  std::string name;                      // in traces and logs; "": its id
  // For traces alone: the W3C traceparent that came with the client's request ("": none), and its n.
  std::string trace_parent;
  int num_choices = 1;
};

struct EngineInfo {
  std::string model_name;
  std::string architecture;
  std::string dtype;      // the arithmetic
  int vocab_size = 0;     // width of the logits; every id a client names must be below it
  int max_model_len = 0;  // prompt + completion
  int num_kv_blocks = 0;
  int block_size = 0;
  int max_num_seqs = 0;  // requests that run at the same time
  std::vector<TokenId> eos_token_ids;
};

// A moment's load, for /health, metrics and tests. Counters only grow.
struct EngineStats {
  int num_running = 0;
  int num_waiting = 0;
  int num_free_blocks = 0;  // those that the prefix cache keeps until they are needed among them
  int num_total_blocks = 0;
  int num_cached_blocks = 0;  // published in the prefix cache, held or free
  uint64_t num_steps = 0;
  uint64_t prompt_tokens_total = 0;  // of requests whose prompt is through, cached ones included
  uint64_t generation_tokens_total = 0;
  uint64_t num_preemptions_total = 0;
  uint64_t prefix_cache_queries_total = 0;  // prompt tokens looked up
  uint64_t prefix_cache_hits_total = 0;     // and found
  // Refused by reserve(), or by submit() in its place.
  uint64_t rejections_by_requests_total = 0;  // as many requests wait as may
  uint64_t rejections_by_tokens_total = 0;    // as many prompt tokens wait as may
  bool healthy = true;  // false: a step failed, every request ended with kError, submit refuses
  double seconds_since_progress =
      0;  // since a step began or ended; 0 while there is no work. /health: stuck?
};

class Engine {
 public:
  virtual ~Engine() = default;
  // A place in the queue for one request of about `num_tokens` prompt tokens; an error (kResourceExhausted,
  // type "queue_full") when the queue is full. Any thread.
  virtual Result<std::unique_ptr<Admission>> reserve(int64_t num_tokens) = 0;
  // A number for GenerateRequest::group. Any thread.
  virtual uint64_t new_group() = 0;
  // Validates (length against max_model_len, ids against vocab_size) and queues. Any thread. Once it returned
  // an id, the sink gets exactly one `finish`, whatever happens; when it returned an error the sink gets
  // nothing.
  virtual Result<RequestId> submit(GenerateRequest request) = 0;
  // Asks for an end: finish.reason is kCancelled, within a step. Unknown or finished ids are fine. Any
  // thread.
  virtual void cancel(RequestId id) = 0;
  // Forgets every cached prefix before the next step; blocks in use stay with their requests. Any thread.
  virtual void reset_prefix_cache() = 0;
  [[nodiscard]] virtual const EngineInfo& info() const = 0;
  [[nodiscard]] virtual EngineStats stats() const = 0;
  // From now on submit() refuses (kUnavailable). Requests may go on until `deadline`, those left then end
  // with kCancelled and a message. Returns when every sink has had its `finish`; the engine is then at rest.
  // A second call with an earlier deadline shortens the first. Any thread but the engine's own.
  virtual void shutdown(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace pegainfer
