#include "trace/trace_writer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <unordered_set>

#include "base/json.h"

namespace pegainfer::trace {
namespace {

// Processes of the trace: groups of tracks.
constexpr int kEngine = 1;
constexpr int kRequests = 2;
constexpr size_t kFlushBytes = size_t{1} << 18U;

std::string_view name_of(SpanKind kind) {
  switch (kind) {
    case SpanKind::kQueued: return "queued";
    case SpanKind::kPrefill: return "prefill";
    case SpanKind::kDecode: return "decode";
    case SpanKind::kPreempted: return "preempted";
    case SpanKind::kFinish: return "finish";
  }
  return "";
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "abort";
    case FinishReason::kTimeout: return "timeout";
    case FinishReason::kError: return "error";
  }
  return "";
}

class Writer {
 public:
  Writer(const TraceData& data, const std::function<void(std::string_view)>& put) : data_(data), put_(put) {}

  void run(const std::string& model_name) {
    text_ = "{\"traceEvents\":[";
    process(kEngine, "engine");
    process(kRequests, "requests");
    for (size_t i = 0; i < data_.steps.size(); ++i) step(data_.steps[i]);
    for (size_t lane = 0; lane < lane_ends_.size(); ++lane)
      thread(kEngine, lane + 1, lane == 0 ? "steps" : fmt::format("steps, {} more under way", lane));
    std::unordered_set<uint64_t> shown;
    for (size_t i = 0; i < data_.spans.size(); ++i) {
      span(data_.spans[i]);
      shown.insert(data_.spans[i].request);
    }
    for (size_t i = 0; i < data_.names.size(); ++i) {
      const RequestName& name = data_.names[i];
      if (shown.erase(name.request) > 0) thread(kRequests, name.request, name.name);
    }
    for (const uint64_t id : shown) thread(kRequests, id, fmt::format("request {}", id));
    end(model_name);
    put_(text_);
  }

 private:
  template <class... Args>
  void append(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }

  void begin_event() {
    if (text_.size() >= kFlushBytes) {
      put_(text_);
      text_.clear();
    }
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
  }

  // The format counts in microseconds.
  [[nodiscard]] double us(int64_t ns) const {
    return static_cast<double>(std::max<int64_t>(ns - data_.begin, 0)) / 1000.0;
  }

  void process(int pid, std::string_view name) {
    begin_event();
    append(R"({{"ph":"M","pid":{0},"tid":0,"name":"process_name","args":{{"name":"{1}"}}}},)", pid, name);
    append(R"({{"ph":"M","pid":{0},"tid":0,"name":"process_sort_index","args":{{"sort_index":{0}}}}})", pid);
  }

  void thread(int pid, uint64_t tid, const std::string& name) {
    begin_event();
    append(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":{}}}}},)", pid, tid,
           json::quote(name));
    append(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_sort_index","args":{{"sort_index":{}}}}})", pid,
           tid, tid);
  }

  // A slice without its args: the caller closes it.
  void begin_slice(int pid, uint64_t tid, std::string_view name, int64_t begin, int64_t end) {
    begin_event();
    append(R"({{"ph":"X","pid":{},"tid":{},"name":"{}","ts":{:.3f},"dur":{:.3f})", pid, tid, name, us(begin),
           us(std::max(begin, end)) - us(begin));
  }

  // Steps overlap when several are under way: each takes the first track where the one before has ended.
  size_t lane_of(int64_t begin, int64_t end) {
    size_t lane = 0;
    while (lane < lane_ends_.size() && lane_ends_[lane] > begin) ++lane;
    if (lane == lane_ends_.size()) lane_ends_.push_back(0);
    lane_ends_[lane] = end;
    return lane + 1;
  }

  void step(const StepRecord& s) {
    static constexpr std::array<std::string_view, 4> kParts = {"plan", "launch", "wait", "deliver"};
    // Where each part begins and ends among the times; the launch runs on between launch and wait.
    static constexpr std::array<std::array<size_t, 2>, 4> kTimes = {{{0, 1}, {1, 2}, {3, 4}, {4, 5}}};
    const size_t lane = lane_of(s.times.front(), s.times.back());
    begin_slice(kEngine, lane, "step", s.times.front(), s.times.back());
    append(R"(,"args":{{"step":{},"tokens":{},"sequences":{},"running":{},"waiting":{},"blocks_free":{}}}}})",
           s.index, s.num_tokens, s.num_seqs, s.num_running, s.num_waiting, s.num_free_blocks);
    for (size_t i = 0; i < kParts.size(); ++i) {
      begin_slice(kEngine, lane, kParts.at(i), s.times.at(kTimes.at(i)[0]), s.times.at(kTimes.at(i)[1]));
      text_ += '}';
    }
    begin_event();
    append(R"({{"ph":"C","pid":{},"name":"requests","ts":{:.3f},"args":{{"running":{},"waiting":{}}}}},)",
           kEngine, us(s.times.back()), s.num_running, s.num_waiting);
    append(R"({{"ph":"C","pid":{},"name":"KV blocks","ts":{:.3f},"args":{{"free":{},"used":{}}}}})", kEngine,
           us(s.times.back()), s.num_free_blocks, s.num_total_blocks - s.num_free_blocks);
  }

  void span(const RequestSpan& s) {
    const auto [a, b, c] = s.values;
    if (s.kind == SpanKind::kFinish) {
      begin_event();
      append(R"({{"ph":"i","s":"t","pid":{},"tid":{},"name":"finish","ts":{:.3f},"args":)", kRequests,
             s.request, us(s.begin));
      append(R"({{"reason":"{}","prompt_tokens":{},"completion_tokens":{},"cached_tokens":{}}}}})",
             name_of(s.reason), a, b, c);
      return;
    }
    begin_slice(kRequests, s.request, name_of(s.kind), s.begin, s.end);
    append(R"(,"args":{{"request":{})", s.request);
    if (s.kind == SpanKind::kQueued) append(R"(,"prompt_tokens":{},"max_tokens":{},"priority":{})", a, b, c);
    if (s.kind == SpanKind::kPrefill && b > 0) append(R"(,"position":{},"tokens":{})", a, b);
    if (s.open) text_ += R"(,"goes_on":true)";
    text_ += "}}";
  }

  void end(const std::string& model_name) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(data_.began_at);
    text_ += "\n],\"displayTimeUnit\":\"ms\",\"otherData\":{";
    append(R"("model":{},"began":"{:%Y-%m-%dT%H:%M:%SZ}","seconds":{:.3f},)", json::quote(model_name),
           fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), us(data_.end) / 1e6);
    append(R"("dropped_steps":{},"dropped_request_slices":{})", data_.steps.num_dropped(),
           data_.spans.num_dropped());
    if (data_.steps.num_dropped() + data_.spans.num_dropped() > 0) {
      append(
          R"(,"note":"the trace was longer than what is kept: the last {} steps and {} pieces of requests")",
          data_.steps.size(), data_.spans.size());
    }
    text_ += "}}\n";
  }

  const TraceData& data_;
  const std::function<void(std::string_view)>& put_;
  std::string text_;
  bool first_ = true;
  std::vector<int64_t> lane_ends_;
};

}  // namespace

void write_json(const TraceData& data, const std::string& model_name,
                const std::function<void(std::string_view)>& put) {
  Writer(data, put).run(model_name);
}

Status write_file(const TraceData& data, const std::string& model_name, const std::string& path) {
  const std::string partial = path + ".partial";
  std::FILE* file = std::fopen(partial.c_str(), "wxe");
  if (file == nullptr) return io_error(fmt::format("cannot write {}: {}", partial, std::strerror(errno)));
  bool good = true;
  write_json(data, model_name, [&](std::string_view text) {
    good = good && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  });
  good = std::fclose(file) == 0 && good;
  good = good && std::rename(partial.c_str(), path.c_str()) == 0;
  if (good) return ok_status();
  const int reason = errno;
  (void)std::remove(partial.c_str());
  return io_error(fmt::format("cannot write {}: {}", path, std::strerror(reason)));
}

}  // namespace pegainfer::trace
