// AdmissionQueue: how many requests and prompt tokens may wait. Places are taken atomically, before the
// prompt is tokenized, so that a burst can neither overrun the limit nor cost the work of reading it.
#pragma once

#include <cstdint>
#include <memory>

#include "pegainfer/engine.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct AdmissionLimits {
  int max_running = 256;          // requests that would not have to wait
  int max_queued_requests = 0;    // beyond those; 0: no limit
  int64_t max_queued_tokens = 0;  // prompt tokens of requests that do not run yet; 0: no limit
};

// Why places were refused.
struct AdmissionRejections {
  uint64_t requests = 0;  // by max_queued_requests
  uint64_t tokens = 0;    // by max_queued_tokens
};

// Thread-safe. Places may outlive the queue object.
class AdmissionQueue {
 public:
  explicit AdmissionQueue(const AdmissionLimits& limits);

  // kResourceExhausted with type "queue_full" when requests or tokens are at their limit. A single request is
  // always let into an empty queue, whatever its length.
  Result<std::unique_ptr<Admission>> reserve(int64_t num_tokens);

  [[nodiscard]] int num_requests() const;           // places taken
  [[nodiscard]] int64_t num_queued_tokens() const;  // of requests that were not started
  [[nodiscard]] uint64_t num_rejected() const;
  [[nodiscard]] AdmissionRejections rejections() const;

 private:
  class Place;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pegainfer
