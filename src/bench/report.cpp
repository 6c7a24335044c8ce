#include "bench/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "base/json.h"

namespace pegainfer::bench {
namespace {

struct Metric {
  const char* key;
  const char* name;
  const char* heading;
  Summary BenchReport::*summary;
};
constexpr std::array kMetrics = std::to_array<Metric>({
    {"ttft", "TTFT", "Time to First Token", &BenchReport::ttft},
    {"tpot", "TPOT", "Time per Output Token (excl. 1st token)", &BenchReport::tpot},
    {"itl", "ITL", "Inter-token Latency", &BenchReport::itl},
    {"e2el", "E2EL", "End-to-end Latency", &BenchReport::e2el},
});

bool wanted(const BenchReport& report, const Metric& metric) {
  return std::ranges::find(report.options.metrics, metric.key) != report.options.metrics.end();
}

std::string percent_name(double p) {
  return std::floor(p) == p ? fmt::format("{:.0f}", p) : fmt::format("{}", p);
}

int peak_concurrency(const std::vector<RequestOutcome>& outcomes) {
  std::vector<std::pair<double, int>> changes;
  for (const RequestOutcome& o : outcomes) {
    if (!o.success) continue;
    changes.emplace_back(o.start, 1);
    changes.emplace_back(o.start + o.latency, -1);
  }
  std::ranges::sort(changes);  // an end counts before a start at the same time
  int now = 0;
  int most = 0;
  for (const auto& [time, change] : changes) most = std::max(most, now += change);
  return most;
}

// Arrivals by second from the first start on, weighted so that a request's make up its tokens.
double peak_output(const std::vector<RequestOutcome>& outcomes) {
  std::map<int64_t, double> seconds;
  for (const RequestOutcome& o : outcomes) {
    if (!o.success) continue;
    const double weight = static_cast<double>(o.output_len) / static_cast<double>(o.itls.size() + 1);
    double time = o.start + o.ttft;
    seconds[static_cast<int64_t>(time)] += weight;
    for (const double itl : o.itls) seconds[static_cast<int64_t>(time += itl)] += weight;
  }
  double most = 0;
  for (const auto& [second, tokens] : seconds) most = std::max(most, tokens);
  return most;
}

void line(std::string& out, const std::string& name, int64_t value) {
  out += fmt::format("{:<40} {:<10}\n", name, value);
}
void line(std::string& out, const std::string& name, double value) {
  out += fmt::format("{:<40} {:<10.2f}\n", name, value);
}

void metric_text(std::string& out, const Metric& metric, const Summary& summary) {
  out += fmt::format("{:-^50}\n", metric.heading);
  line(out, fmt::format("Mean {} (ms):", metric.name), summary.mean);
  line(out, fmt::format("Median {} (ms):", metric.name), summary.median);
  for (const auto& [p, value] : summary.percentiles)
    line(out, fmt::format("P{} {} (ms):", percent_name(p), metric.name), value);
}

void add_metric(json::Object& object, const Metric& metric, const Summary& summary) {
  object[fmt::format("mean_{}_ms", metric.key)] = summary.mean;
  object[fmt::format("median_{}_ms", metric.key)] = summary.median;
  object[fmt::format("std_{}_ms", metric.key)] = summary.std;
  for (const auto& [p, value] : summary.percentiles)
    object[fmt::format("p{}_{}_ms", percent_name(p), metric.key)] = value;
}

void add_details(json::Object& object, const std::vector<RequestOutcome>& outcomes) {
  json::Array input_lens, output_lens, ttfts, itls, texts, errors, starts;
  for (const RequestOutcome& o : outcomes) {
    input_lens.emplace_back(o.prompt_len);
    output_lens.emplace_back(o.output_len);
    starts.emplace_back(o.start);
    ttfts.emplace_back(o.ttft);
    itls.emplace_back(json::Array(o.itls.begin(), o.itls.end()));
    texts.emplace_back(o.text);
    errors.emplace_back(o.error);
  }
  object["input_lens"] = std::move(input_lens);
  object["output_lens"] = std::move(output_lens);
  object["start_times"] = std::move(starts);
  object["ttfts"] = std::move(ttfts);
  object["itls"] = std::move(itls);
  object["generated_texts"] = std::move(texts);
  object["errors"] = std::move(errors);
}

json::Value or_null(const auto& optional) { return optional ? json::Value(*optional) : json::Value(nullptr); }

}  // namespace

BenchReport make_report(const std::vector<RequestOutcome>& outcomes, double duration, ReportOptions options) {
  BenchReport report;
  report.options = std::move(options);
  report.duration = duration;
  std::vector<double> ttfts, tpots, itls, e2els;
  for (const RequestOutcome& o : outcomes) {
    if (!o.success) {
      ++report.failed;
      continue;
    }
    ++report.completed;
    report.total_input += o.prompt_len;
    report.total_output += o.output_len;
    ttfts.push_back(o.ttft * 1e3);
    e2els.push_back(o.latency * 1e3);
    if (o.output_len > 1) tpots.push_back((o.latency - o.ttft) / (o.output_len - 1) * 1e3);
    for (const double itl : o.itls) itls.push_back(itl * 1e3);
  }
  if (duration > 0) {
    report.request_throughput = report.completed / duration;
    report.output_throughput = static_cast<double>(report.total_output) / duration;
    report.total_token_throughput = static_cast<double>(report.total_input + report.total_output) / duration;
  }
  report.peak_output_throughput = peak_output(outcomes);
  report.peak_concurrency = peak_concurrency(outcomes);
  const std::vector<double>& percents = report.options.percentiles;
  report.ttft = summarize(std::move(ttfts), percents);
  report.tpot = summarize(std::move(tpots), percents);
  report.itl = summarize(std::move(itls), percents);
  report.e2el = summarize(std::move(e2els), percents);
  return report;
}

std::string report_text(const BenchReport& report) {
  std::string out = fmt::format("{:=^50}\n", " " + report.options.title + " ");
  line(out, "Successful requests:", int64_t{report.completed});
  line(out, "Failed requests:", int64_t{report.failed});
  if (report.options.max_concurrency)
    line(out, "Maximum request concurrency:", int64_t{*report.options.max_concurrency});
  if (report.options.request_rate) line(out, "Request rate configured (RPS):", *report.options.request_rate);
  line(out, "Benchmark duration (s):", report.duration);
  line(out, "Total input tokens:", report.total_input);
  line(out, "Total generated tokens:", report.total_output);
  line(out, "Request throughput (req/s):", report.request_throughput);
  line(out, "Output token throughput (tok/s):", report.output_throughput);
  line(out, "Peak output token throughput (tok/s):", report.peak_output_throughput);
  line(out, "Peak concurrent requests:", double(report.peak_concurrency));
  line(out, "Total Token throughput (tok/s):", report.total_token_throughput);
  for (const Metric& metric : kMetrics)
    if (wanted(report, metric)) metric_text(out, metric, report.*metric.summary);
  return out + std::string(50, '=') + "\n";
}

std::string error_lines(const std::vector<RequestOutcome>& outcomes, size_t most) {
  std::map<std::string, int> counts;
  for (const RequestOutcome& o : outcomes)
    if (!o.success) ++counts[o.error];
  std::vector<std::pair<int, std::string>> sorted;
  sorted.reserve(counts.size());
  for (const auto& [error, count] : counts) sorted.emplace_back(-count, error);
  std::ranges::sort(sorted);
  std::string out;
  for (size_t i = 0; i < std::min(most, sorted.size()); ++i)
    out += fmt::format("{} failed: {}\n", -sorted[i].first, sorted[i].second);
  if (sorted.size() > most) out += fmt::format("and {} other errors\n", sorted.size() - most);
  return out;
}

std::string report_json(const BenchReport& report, const RunFacts& facts,
                        const std::vector<RequestOutcome>& outcomes, bool detailed) {
  json::Object object;
  object["date"] = facts.date;
  object["endpoint_type"] = facts.backend;
  object["backend"] = facts.backend;
  object["model_id"] = facts.model_id;
  object["tokenizer_id"] = facts.tokenizer_id;
  object["num_prompts"] = facts.num_prompts;
  object["request_rate"] = report.options.request_rate ? json::Value(*report.options.request_rate) : "inf";
  object["burstiness"] = report.options.burstiness;
  object["max_concurrency"] = or_null(report.options.max_concurrency);
  object["duration"] = report.duration;
  object["completed"] = report.completed;
  object["failed"] = report.failed;
  object["total_input_tokens"] = report.total_input;
  object["total_output_tokens"] = report.total_output;
  object["request_throughput"] = report.request_throughput;
  object["request_goodput"] = nullptr;
  object["output_throughput"] = report.output_throughput;
  object["total_token_throughput"] = report.total_token_throughput;
  object["max_output_tokens_per_s"] = report.peak_output_throughput;
  object["max_concurrent_requests"] = report.peak_concurrency;
  for (const Metric& metric : kMetrics)
    if (wanted(report, metric)) add_metric(object, metric, report.*metric.summary);
  if (detailed) add_details(object, outcomes);
  return json::dump(object) + "\n";
}

}  // namespace pegainfer::bench
