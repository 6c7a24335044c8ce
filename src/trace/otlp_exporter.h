// OtlpExporter: sends spans of finished requests to an OTLP/HTTP receiver, in batches, on a thread of its
// own. A receiver that is slow or gone costs spans, which are counted, and nothing else: the queue is
// bounded.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "trace/http_post.h"
#include "trace/otlp_span.h"

namespace pegainfer::trace {

class OtlpExporter {
 public:
  struct Options {
    OtlpAttributes resource = {{"service.name", "pegainfer"}};
    size_t max_queue = 2048;  // spans that wait; more are dropped
    size_t max_batch = 512;
    std::chrono::milliseconds interval{1000};        // a batch that is not full waits so long
    std::chrono::milliseconds send_timeout{10'000};  // for one POST
    std::chrono::milliseconds first_retry{1000};     // doubled each time
    int max_tries = 5;                               // of a batch, when the receiver asks for more or is gone
  };
  // What has become of requests' spans.
  struct Counts {
    uint64_t exported = 0;
    uint64_t dropped = 0;   // the queue was full, or time was over at the end
    uint64_t rejected = 0;  // by the receiver
    uint64_t failed = 0;    // it could not be reached
  };

  OtlpExporter(std::unique_ptr<HttpPost> post, Options options);
  ~OtlpExporter();
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

  // Stands in the spans that are sent from now on. Any thread.
  void set_model_name(std::string name);
  // Never waits for the network. Any thread.
  void add(LlmSpan span);
  // Sends what is left, within `timeout`; what is not sent by then is dropped. Once.
  void finish(std::chrono::milliseconds timeout);
  [[nodiscard]] Counts counts() const;

 private:
  enum class Sent : uint8_t { kDone, kRetry, kRefused };

  void run();
  bool take_batch(std::vector<LlmSpan>& batch);
  void send(const std::vector<LlmSpan>& batch);
  Sent try_send(const std::string& body, size_t num_spans);
  void note_failure(const std::string& why);
  void sleep_until_retry(std::chrono::milliseconds pause);
  [[nodiscard]] bool time_is_over() const;
  std::string new_span_id();

  const std::unique_ptr<HttpPost> post_;
  const Options options_;

  mutable std::mutex mutex_;  // of the next five
  std::condition_variable changed_;
  std::deque<LlmSpan> queue_;
  std::string model_name_;
  bool finishing_ = false;
  TimePoint end_ = TimePoint::max();  // of everything, once it is finishing

  std::atomic<uint64_t> exported_{0};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> rejected_{0};
  std::atomic<uint64_t> failed_{0};

  // The thread's own.
  std::mt19937_64 random_{std::random_device{}()};
  bool failing_ = false;
  TimePoint last_warning_;
  std::thread thread_;  // last
};

}  // namespace pegainfer::trace
