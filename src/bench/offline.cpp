#include "bench/offline.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"

namespace pegainfer::bench {
namespace {

// Written by the engine's thread, read when all have ended.
struct Run {
  Stopwatch watch;
  std::vector<RequestOutcome> outcomes;
  std::vector<double> last;  // when the newest token came
  std::mutex mutex;
  std::condition_variable changed;
  size_t num_done = 0;  // under the mutex
};

void on_event(Run& run, size_t i, const TokenEvent& event) {
  const double now = run.watch.seconds();
  RequestOutcome& out = run.outcomes[i];
  if (!event.tokens.empty()) {
    if (out.output_len == 0) {
      out.ttft = now - out.start;
    } else {
      out.itls.push_back(now - run.last[i]);
    }
    out.output_len += static_cast<int>(event.tokens.size());
    out.latency = now - out.start;
    run.last[i] = now;
  }
  if (!event.finish) return;
  out.success = event.finish->reason == FinishReason::kLength || event.finish->reason == FinishReason::kStop;
  if (!out.success) out.error = event.finish->message.empty() ? "cancelled" : event.finish->message;
  {
    const std::lock_guard lock(run.mutex);
    ++run.num_done;
  }
  run.changed.notify_one();
}

}  // namespace

Result<OfflineResult> run_offline(Engine& engine, const std::vector<BenchRequest>& requests,
                                  const OfflineOptions& options) {
  const auto run = std::make_shared<Run>();
  run->outcomes.resize(requests.size());
  run->last.resize(requests.size());
  run->watch = Stopwatch();
  std::vector<RequestId> ids;
  for (size_t i = 0; i < requests.size(); ++i) {
    run->outcomes[i].prompt_len = requests[i].prompt_len;
    run->outcomes[i].start = run->watch.seconds();
    GenerateRequest request;
    request.prompt = requests[i].prompt;
    request.sampling = options.sampling;
    request.sampling.max_tokens = requests[i].output_len;
    request.sink = [run, i](const TokenEvent& event) { on_event(*run, i, event); };
    auto id = engine.submit(std::move(request));
    if (!id) {
      for (const RequestId other : ids) engine.cancel(other);
      return std::move(id).error();
    }
    ids.push_back(*id);
  }
  std::unique_lock lock(run->mutex);
  for (size_t seen = 0; seen < requests.size();) {
    run->changed.wait(lock, [&] { return run->num_done > seen; });
    seen = run->num_done;
    lock.unlock();
    if (options.on_done) options.on_done(seen);
    lock.lock();
  }
  return OfflineResult{std::move(run->outcomes), run->watch.seconds()};
}

}  // namespace pegainfer::bench
