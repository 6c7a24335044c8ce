#include "metrics/engine_metrics.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "metrics/buckets.h"

namespace pegainfer::metrics {
namespace {

// In the order of FinishReason. "timeout" is ours: vLLM has no deadlines.
constexpr std::array<std::string_view, 5> kReasons = {"stop", "length", "abort", "timeout", "error"};

double seconds_between(TimePoint begin, TimePoint end) {
  return std::chrono::duration<double>(end - begin).count();
}

bool reached(TimePoint time) { return time != TimePoint{}; }

}  // namespace

struct EngineMetrics::Histograms {
  explicit Histograms(int max_model_len)
      : prompt_tokens(one_two_five_buckets(max_model_len)),
        computed_tokens(one_two_five_buckets(max_model_len)),
        generation_tokens(one_two_five_buckets(max_model_len)),
        max_generation_tokens(one_two_five_buckets(max_model_len)),
        max_tokens(one_two_five_buckets(max_model_len)) {}

  Histogram first_token{first_token_buckets()};
  Histogram inter_token{inter_token_buckets()};
  Histogram time_per_output_token{inter_token_buckets()};
  Histogram e2e{request_time_buckets()};
  Histogram queue{request_time_buckets()};
  Histogram inference{request_time_buckets()};
  Histogram prefill{request_time_buckets()};
  Histogram decode{request_time_buckets()};
  Histogram iteration_tokens{iteration_token_buckets()};
  Histogram num_choices{num_choices_buckets()};
  Histogram prompt_tokens;
  Histogram computed_tokens;
  Histogram generation_tokens;
  Histogram max_generation_tokens;
  Histogram max_tokens;
};

EngineMetrics::EngineMetrics() = default;
EngineMetrics::~EngineMetrics() = default;

void EngineMetrics::attach(const std::shared_ptr<const Engine>& engine, const std::string& model_name,
                           Labels cache_config) {
  engine_ = engine;
  labels_ = {{"model_name", model_name}, {"engine", "0"}};
  cache_config_ = std::move(cache_config);
  histograms_ = std::make_unique<Histograms>(engine->info().max_model_len);
  attached_.store(true, std::memory_order_release);
}

// ------------------------------------------------------------------------------------ the engine's thread

void EngineMetrics::on_queued(const QueuedRequest& request, TimePoint /*now*/) {
  live_.emplace(request.id, Live{.max_tokens = request.max_tokens, .group = request.group});
  if (request.group == 0) return;
  Group& group = groups_[request.group];
  ++group.num_queued;
  ++group.num_live;
}

void EngineMetrics::on_scheduled(RequestId /*id*/, int /*num_cached_tokens*/, TimePoint /*now*/) {}

void EngineMetrics::on_preempted(RequestId /*id*/, TimePoint /*now*/) {}

void EngineMetrics::on_tokens(RequestId /*id*/, int /*num_tokens*/, bool first, double since_last,
                              TimePoint /*now*/) {
  (first ? histograms_->first_token : histograms_->inter_token).observe(since_last);
}

void EngineMetrics::on_finished(RequestId id, const Finish& finish, const RequestTimes& times) {
  auto& count = num_finished_.at(static_cast<size_t>(finish.reason));
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // nobody else writes
  observe_times(finish, times);
  histograms_->prompt_tokens.observe(finish.usage.prompt_tokens);
  if (reached(times.first_token)) {
    const int computed = finish.usage.prompt_tokens - finish.usage.cached_tokens;
    histograms_->computed_tokens.observe(computed);
  }
  histograms_->generation_tokens.observe(finish.usage.completion_tokens);
  const auto node = live_.extract(id);
  if (node.empty()) return;
  const Live& request = node.mapped();
  histograms_->max_tokens.observe(request.max_tokens);
  leave_group(request.group, finish.usage.completion_tokens);
}

// A request that never came so far has no such interval.
void EngineMetrics::observe_times(const Finish& finish, const RequestTimes& times) {
  Histograms& h = *histograms_;
  if (reached(times.arrival)) h.e2e.observe(seconds_between(times.arrival, times.finished));
  if (!reached(times.scheduled)) return;
  h.queue.observe(seconds_between(times.queued, times.scheduled));
  if (!reached(times.first_token)) return;
  h.prefill.observe(seconds_between(times.scheduled, times.first_token));
  h.inference.observe(seconds_between(times.scheduled, times.last_token));
  const double decode = seconds_between(times.first_token, times.last_token);
  h.decode.observe(decode);
  const int num_tokens = finish.usage.completion_tokens;
  if (num_tokens > 1) h.time_per_output_token.observe(decode / (num_tokens - 1));
}

// n and the longest choice are known when the last choice of a prompt has ended.
void EngineMetrics::leave_group(uint64_t id, int num_generated) {
  if (id == 0) {
    histograms_->num_choices.observe(1);
    histograms_->max_generation_tokens.observe(num_generated);
    return;
  }
  const auto found = groups_.find(id);
  if (found == groups_.end()) return;
  Group& group = found->second;
  group.max_generated = std::max(group.max_generated, num_generated);
  if (--group.num_live > 0) return;
  histograms_->num_choices.observe(group.num_queued);
  histograms_->max_generation_tokens.observe(group.max_generated);
  groups_.erase(found);
}

void EngineMetrics::on_step(const StepObservation& step) {
  histograms_->iteration_tokens.observe(step.plan->num_tokens);
}

// --------------------------------------------------------------------------------------------- the scrape

void EngineMetrics::collect(MetricsPage& page) const {
  if (!attached_.load(std::memory_order_acquire)) return;
  const std::shared_ptr<const Engine> engine = engine_.lock();
  if (engine == nullptr) return;
  const EngineStats stats = engine->stats();
  collect_stats(page, stats);
  collect_counters(page, stats);
  collect_histograms(page);
  collect_cache_config(page, engine->info());
}

void EngineMetrics::collect_stats(MetricsPage& page, const EngineStats& stats) const {
  page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", labels_,
             stats.num_running);
  page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", labels_,
             stats.num_waiting);
  const double usage = stats.num_total_blocks == 0 ? 0
                                                   : 1.0 - static_cast<double>(stats.num_free_blocks) /
                                                               static_cast<double>(stats.num_total_blocks);
  page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", labels_, usage);
  page.gauge("vllm:gpu_cache_usage_perc", "The former name of vllm:kv_cache_usage_perc.", labels_, usage);
  page.gauge("pegainfer:engine_healthy", "0 once a step has failed: every request is then refused.", labels_,
             stats.healthy ? 1 : 0);
  page.gauge("pegainfer:engine_seconds_since_progress",
             "Seconds since a step began or ended while there is work; 0 without.", labels_,
             stats.seconds_since_progress);
}

void EngineMetrics::collect_counters(MetricsPage& page, const EngineStats& stats) const {
  const auto count = [&](std::string_view name, std::string_view help, uint64_t value) {
    page.counter(name, help, labels_, static_cast<double>(value));
  };
  count("vllm:prefix_cache_queries_total", "Prefix cache queries, in number of queried tokens.",
        stats.prefix_cache_queries_total);
  count("vllm:prefix_cache_hits_total", "Prefix cache hits, in number of cached tokens.",
        stats.prefix_cache_hits_total);
  count("vllm:gpu_prefix_cache_queries_total", "The former name of vllm:prefix_cache_queries_total.",
        stats.prefix_cache_queries_total);
  count("vllm:gpu_prefix_cache_hits_total", "The former name of vllm:prefix_cache_hits_total.",
        stats.prefix_cache_hits_total);
  count("vllm:num_preemptions_total", "Cumulative number of preemptions from the engine.",
        stats.num_preemptions_total);
  count("vllm:prompt_tokens_total", "Number of prefill tokens processed, those of the prefix cache included.",
        stats.prompt_tokens_total);
  count("vllm:generation_tokens_total", "Number of generation tokens processed.",
        stats.generation_tokens_total);
  count("pegainfer:engine_steps_total", "Steps that the engine has computed.", stats.num_steps);

  const auto with = [this](std::string_view key, std::string_view value) {
    Labels labels = labels_;
    labels.emplace_back(key, value);
    return labels;
  };
  for (size_t i = 0; i < kReasons.size(); ++i) {
    page.counter("vllm:request_success_total", "Count of finished requests, by their end.",
                 with("finished_reason", kReasons.at(i)),
                 static_cast<double>(num_finished_.at(i).load(std::memory_order_relaxed)));
  }
  constexpr std::string_view kRejections = "vllm:admission_rejections_total";
  constexpr std::string_view kRejectionsHelp = "Requests refused because the queue was full, by its limit.";
  page.counter(kRejections, kRejectionsHelp, with("reason", "max_num_queued_reqs"),
               static_cast<double>(stats.rejections_by_requests_total));
  page.counter(kRejections, kRejectionsHelp, with("reason", "max_num_queued_tokens"),
               static_cast<double>(stats.rejections_by_tokens_total));
}

void EngineMetrics::collect_histograms(MetricsPage& page) const {
  const Histograms& h = *histograms_;
  const auto show = [&](std::string_view name, std::string_view help, const Histogram& histogram) {
    page.histogram(name, help, labels_, histogram);
  };
  show("vllm:iteration_tokens_total", "Number of tokens of a step.", h.iteration_tokens);
  show("vllm:time_to_first_token_seconds", "Time from arrival to the first token, in seconds.",
       h.first_token);
  show("vllm:inter_token_latency_seconds", "Time between tokens of a request, in seconds.", h.inter_token);
  show("vllm:time_per_output_token_seconds", "The former name of vllm:inter_token_latency_seconds.",
       h.inter_token);
  show("vllm:request_time_per_output_token_seconds", "Mean time per token after the first, of a request.",
       h.time_per_output_token);
  show("vllm:e2e_request_latency_seconds", "Time from arrival to the end, in seconds.", h.e2e);
  show("vllm:request_queue_time_seconds", "Time spent waiting to be scheduled first, in seconds.", h.queue);
  show("vllm:request_inference_time_seconds", "Time from the first scheduling to the last token, in seconds.",
       h.inference);
  show("vllm:request_prefill_time_seconds", "Time from the first scheduling to the first token, in seconds.",
       h.prefill);
  show("vllm:request_decode_time_seconds", "Time from the first token to the last, in seconds.", h.decode);
  show("vllm:request_prompt_tokens", "Number of prompt tokens of a request.", h.prompt_tokens);
  show("vllm:request_prefill_kv_computed_tokens",
       "Prompt tokens of a request that were computed: those not in the prefix cache.", h.computed_tokens);
  show("vllm:request_generation_tokens", "Number of tokens generated for a request.", h.generation_tokens);
  show("vllm:request_max_num_generation_tokens", "Tokens of the longest of a request's n choices.",
       h.max_generation_tokens);
  show("vllm:request_params_n", "The n of a request.", h.num_choices);
  show("vllm:request_params_max_tokens", "The max_tokens of a request.", h.max_tokens);
}

void EngineMetrics::collect_cache_config(MetricsPage& page, const EngineInfo& info) const {
  Labels labels = {{"engine", "0"},
                   {"block_size", std::to_string(info.block_size)},
                   {"num_gpu_blocks", std::to_string(info.num_kv_blocks)}};
  labels.insert(labels.end(), cache_config_.begin(), cache_config_.end());
  page.gauge("vllm:cache_config_info", "What the KV cache is made of.", labels, 1);
}

}  // namespace pegainfer::metrics
