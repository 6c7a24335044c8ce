// BenchReport: the figures of a run under the names and in the layout of `vllm bench serve`, so that tools
// and eyes that know one read the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/outcome.h"
#include "bench/statistics.h"

namespace pegainfer::bench {

struct ReportOptions {
  std::string title = "Serving Benchmark Result";
  // Of ttft, tpot, itl, e2el: those printed.
  std::vector<std::string> metrics = {"ttft", "tpot", "itl", "e2el"};
  std::vector<double> percentiles = {99};
  std::optional<int> max_concurrency;
  std::optional<double> request_rate;  // empty: infinite
  double burstiness = 1;
};

struct BenchReport {
  ReportOptions options;
  double duration = 0;  // [s]
  int completed = 0;
  int failed = 0;
  int64_t total_input = 0;
  int64_t total_output = 0;
  double request_throughput = 0;      // [1/s]
  double output_throughput = 0;       // [tokens/s]
  double peak_output_throughput = 0;  // [tokens/s] in the best whole second
  double total_token_throughput = 0;  // [tokens/s]
  int peak_concurrency = 0;
  Summary ttft, tpot, itl, e2el;  // [ms]
};

BenchReport make_report(const std::vector<RequestOutcome>& outcomes, double duration, ReportOptions options);
// Several lines, each ended.
std::string report_text(const BenchReport& report);
// Different errors with their number, the most frequent first, at most `most` lines; "" without any.
std::string error_lines(const std::vector<RequestOutcome>& outcomes, size_t most = 5);

// Facts about the run that stand before the figures in the saved file.
struct RunFacts {
  std::string date;  // "20261124-124500"
  std::string backend = "openai";
  std::string model_id;
  std::string tokenizer_id;
  int num_prompts = 0;
};
// `detailed`: with the lists of each request.
std::string report_json(const BenchReport& report, const RunFacts& facts,
                        const std::vector<RequestOutcome>& outcomes, bool detailed);

}  // namespace pegainfer::bench
