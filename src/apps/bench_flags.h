// What the bench subcommands share: flags of workloads and reports, and saving of results.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/workload.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

void add_bench_serve(CLI::App& bench, int& exit_code);
void add_bench_throughput(CLI::App& bench, int& exit_code);
void add_bench_latency(CLI::App& bench, int& exit_code);
void add_bench_sim(CLI::App& bench, int& exit_code);
void add_bench_sim_serve(CLI::App& bench, int& exit_code);

// `short_names`: --input-len beside --random-input-len, as vllm's offline benchmarks have it.
void add_random_flags(CLI::App& command, bench::RandomOptions& random, bool short_names);

struct ArrivalFlags {
  double request_rate = 0;  // infinite unless given
  bool infinite = true;
  double burstiness = 1;
  std::string rate_text = "inf";
};
void add_arrival_flags(CLI::App& command, ArrivalFlags& flags);
// After parsing.
Status read_arrivals(ArrivalFlags& flags);

struct ReportFlags {
  std::string percentile_metrics = "ttft,tpot,itl,e2el";
  std::string metric_percentiles = "99";
};
void add_report_flags(CLI::App& command, ReportFlags& flags);
Result<bench::ReportOptions> report_options(const ReportFlags& flags);

Status write_file(const std::string& path, const std::string& text);
// "20261124-124500", local time.
std::string date_stamp();
// The tokenizer alone of a model's folder, file or hub name.
Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model);
// Each connection is a descriptor; the usual soft limit is small.
void raise_descriptors();

}  // namespace pegainfer::apps
