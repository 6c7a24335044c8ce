#include "trace/otlp_exporter.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/json.h"
#include "base/log.h"

namespace pegainfer::trace {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kBetweenWarnings{60};

// Statuses after which OTLP/HTTP asks for another try.
bool is_retryable(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

// {"partialSuccess": {"rejectedSpans": "3"}}: a 64-bit number is a string in this JSON, though some send a
// number.
uint64_t rejected_spans(const std::string& body) {
  const auto parsed = json::parse(body);
  if (!parsed || !parsed->is_object()) return 0;
  const json::Value* partial = json::find(parsed->as_object(), "partialSuccess");
  if (partial == nullptr || !partial->is_object()) return 0;
  const json::Value* rejected = json::find(partial->as_object(), "rejectedSpans");
  if (rejected == nullptr) return 0;
  if (rejected->is_int64()) return static_cast<uint64_t>(std::max<int64_t>(rejected->as_int64(), 0));
  if (!rejected->is_string()) return 0;
  return std::strtoull(rejected->as_string().c_str(), nullptr, 10);
}

}  // namespace

OtlpExporter::OtlpExporter(std::unique_ptr<HttpPost> post, Options options)
    : post_(std::move(post)), options_(std::move(options)), thread_([this] { run(); }) {}

OtlpExporter::~OtlpExporter() { finish(std::chrono::milliseconds(0)); }

void OtlpExporter::set_model_name(std::string name) {
  const std::lock_guard lock(mutex_);
  model_name_ = std::move(name);
}

void OtlpExporter::add(LlmSpan span) {
  bool full_batch = false;
  {
    const std::lock_guard lock(mutex_);
    if (finishing_ || queue_.size() >= options_.max_queue) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    queue_.push_back(std::move(span));
    full_batch = queue_.size() == options_.max_batch;
  }
  if (full_batch) changed_.notify_all();
}

void OtlpExporter::finish(std::chrono::milliseconds timeout) {
  {
    const std::lock_guard lock(mutex_);
    if (finishing_) return;
    finishing_ = true;
    end_ = steady_clock::now() + timeout;
  }
  changed_.notify_all();
  thread_.join();
}

OtlpExporter::Counts OtlpExporter::counts() const {
  return {exported_.load(), dropped_.load(), rejected_.load(), failed_.load()};
}

bool OtlpExporter::time_is_over() const {
  const std::lock_guard lock(mutex_);
  return steady_clock::now() >= end_;
}

// --------------------------------------------------------------------------------------- the thread's own

void OtlpExporter::run() {
  std::vector<LlmSpan> batch;
  while (take_batch(batch)) send(batch);
}

// False: nothing more is to be sent.
bool OtlpExporter::take_batch(std::vector<LlmSpan>& batch) {
  batch.clear();
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, options_.interval,
                    [&] { return finishing_ || queue_.size() >= options_.max_batch; });
  if (finishing_ && steady_clock::now() >= end_) {
    dropped_.fetch_add(queue_.size(), std::memory_order_relaxed);
    queue_.clear();
  }
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.max_batch));
  batch.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
  queue_.erase(queue_.begin(), end);
  return !batch.empty() || !finishing_;
}

void OtlpExporter::send(const std::vector<LlmSpan>& batch) {
  if (batch.empty()) return;
  std::string model_name;
  {
    const std::lock_guard lock(mutex_);
    model_name = model_name_;
  }
  const std::string body =
      to_otlp_json(batch, options_.resource, model_name, [this] { return new_span_id(); });
  std::chrono::milliseconds pause = options_.first_retry;
  for (int i = 1;; ++i) {
    const Sent sent = try_send(body, batch.size());
    if (sent == Sent::kDone) return;
    if (sent == Sent::kRefused || i == options_.max_tries || time_is_over()) {
      failed_.fetch_add(batch.size(), std::memory_order_relaxed);
      return;
    }
    sleep_until_retry(pause);
    pause *= 2;
  }
}

OtlpExporter::Sent OtlpExporter::try_send(const std::string& body, size_t num_spans) {
  TimePoint deadline = steady_clock::now() + options_.send_timeout;
  {
    const std::lock_guard lock(mutex_);
    deadline = std::min(deadline, end_);
  }
  const auto answer = post_->send(body, deadline, [this] { return time_is_over(); });
  if (!answer) {
    note_failure(answer.error().message);
    return Sent::kRetry;
  }
  if (answer->status < 200 || answer->status > 299) {
    note_failure(fmt::format("status {}", answer->status));
    return is_retryable(answer->status) ? Sent::kRetry : Sent::kRefused;
  }
  if (std::exchange(failing_, false)) LOG_INFO("traces are exported again");
  const uint64_t rejected = std::min<uint64_t>(rejected_spans(answer->body), num_spans);
  rejected_.fetch_add(rejected, std::memory_order_relaxed);
  exported_.fetch_add(num_spans - rejected, std::memory_order_relaxed);
  return Sent::kDone;
}

// The first of a row is told, and then one a minute.
void OtlpExporter::note_failure(const std::string& why) {
  const TimePoint now = steady_clock::now();
  if (std::exchange(failing_, true) && now - last_warning_ < kBetweenWarnings) return;
  last_warning_ = now;
  LOG_WARN("traces cannot be exported: {}", why);
}

void OtlpExporter::sleep_until_retry(std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex_);
  // When it is finishing there is no time to be patient.
  changed_.wait_for(lock, pause, [&] { return finishing_; });
  if (!finishing_) return;
  const auto short_pause = std::min<std::chrono::milliseconds>(pause, std::chrono::milliseconds(200));
  changed_.wait_until(lock, std::min(end_, steady_clock::now() + short_pause), [] { return false; });
}

std::string OtlpExporter::new_span_id() { return fmt::format("{:016x}", std::max<uint64_t>(random_(), 1)); }

}  // namespace pegainfer::trace
