// `pegainfer bench throughput` and `bench latency`: the engine with a model, without HTTP; flags and output
// of vllm's commands of the same names.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <numeric>
#include <utility>

#include "apps/bench_flags.h"
#include "apps/exit_code.h"
#include "apps/load_with_progress.h"
#include "apps/model_flags.h"
#include "apps/progress.h"
#include "base/clock.h"
#include "base/json.h"
#include "bench/offline.h"
#include "bench/report.h"
#include "bench/statistics.h"
#include "engine/load_engine.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kBenchGroup = "Benchmark";

struct OfflineFlags {
  ModelFlags model;
  bench::RandomOptions random;
  std::string dataset_path;
  ReportFlags report;
  double temperature = 0;
  std::string output_json;
  int batch_size = 8;
  int num_iters = 30;
  int num_iters_warmup = 10;
};

// Prompts repeat in `latency`, and equal seeds repeat between runs: a prefix cache would answer them.
void add_common(CLI::App& command, OfflineFlags& f) {
  f.model.positional_model = false;
  f.model.log_level = "warn";
  f.model.engine.enable_prefix_caching = false;
  add_model_flags(command, f.model);
  command.add_option("--temperature", f.temperature, "0: greedy")->capture_default_str()->group(kBenchGroup);
  command.add_option("--output-json", f.output_json, "Write the result to this file")->group(kBenchGroup);
  command.footer(kExitCodesHelp);
}

Result<LoadedEngine> load(const OfflineFlags& f) {
  ASSIGN_OR_RETURN(EngineOptions options, to_engine_options(f.model));
  options.dummy_seed = f.random.seed;
  options.max_queued_requests = 0;  // all are submitted at once
  return load_with_bar(options);
}

bench::OfflineOptions offline_options(const OfflineFlags& f) {
  bench::OfflineOptions options;
  options.sampling.temperature = static_cast<float>(f.temperature);
  options.sampling.ignore_eos = true;
  options.sampling.seed = f.random.seed;
  return options;
}

bench::IdRange whole_vocabulary(const Engine& engine) { return {0, engine.info().vocab_size}; }

Result<std::vector<bench::BenchRequest>> throughput_requests(const OfflineFlags& f,
                                                             const LoadedEngine& loaded) {
  if (f.dataset_path.empty()) return bench::random_ids(f.random, whole_vocabulary(*loaded.engine));
  ASSIGN_OR_RETURN(auto requests,
                   bench::custom_dataset(f.dataset_path, f.random.num_prompts, f.random.output_len));
  for (bench::BenchRequest& request : requests) {
    request.prompt = loaded.tokenizer->encode(request.text);
    request.prompt_len = static_cast<int>(request.prompt.size());
  }
  return requests;
}

Status run_throughput(OfflineFlags& f) {
  ASSIGN_OR_RETURN(bench::ReportOptions report_flags, report_options(f.report));
  ASSIGN_OR_RETURN(const LoadedEngine loaded, load(f));
  ASSIGN_OR_RETURN(const auto requests, throughput_requests(f, loaded));
  ProgressBar bar = ProgressBar::to_stderr({.label = "running", .unit = "requests"});
  const Stopwatch watch;
  bench::OfflineOptions options = offline_options(f);
  options.on_done = [&](size_t done) { bar.update(done, requests.size(), watch.seconds()); };
  auto result = bench::run_offline(*loaded.engine, requests, options);
  bar.finish();
  if (!result) return std::move(result).error();
  report_flags.title = "Offline Benchmark Result";
  const bench::BenchReport report = bench::make_report(result->outcomes, result->duration, report_flags);
  fmt::print("{}", bench::report_text(report));
  fmt::print(stderr, "{}", bench::error_lines(result->outcomes));
  fmt::print("Throughput: {:.2f} requests/s, {:.2f} total tokens/s, {:.2f} output tokens/s\n",
             report.request_throughput, report.total_token_throughput, report.output_throughput);
  fmt::print("Total num prompt tokens:  {}\nTotal num output tokens:  {}\n", report.total_input,
             report.total_output);
  if (f.output_json.empty()) return ok_status();
  json::Object out;
  out["elapsed_time"] = report.duration;
  out["num_requests"] = report.completed;
  out["total_num_tokens"] = report.total_input + report.total_output;
  out["requests_per_second"] = report.request_throughput;
  out["tokens_per_second"] = report.total_token_throughput;
  out["output_tokens_per_second"] = report.output_throughput;
  out["mean_ttft_ms"] = report.ttft.mean;
  out["mean_tpot_ms"] = report.tpot.mean;
  return write_file(f.output_json, json::dump(out) + "\n");
}

Status run_latency(OfflineFlags& f) {
  ASSIGN_OR_RETURN(const LoadedEngine loaded, load(f));
  f.random.num_prompts = f.batch_size;
  ASSIGN_OR_RETURN(const auto requests, bench::random_ids(f.random, whole_vocabulary(*loaded.engine)));
  const bench::OfflineOptions options = offline_options(f);
  for (int i = 0; i < f.num_iters_warmup; ++i)
    RETURN_IF_ERROR(bench::run_offline(*loaded.engine, requests, options));
  ProgressBar bar = ProgressBar::to_stderr({.label = "running", .unit = "iterations"});
  const Stopwatch watch;
  std::vector<double> latencies;
  for (int i = 0; i < f.num_iters; ++i) {
    ASSIGN_OR_RETURN(const bench::OfflineResult result,
                     bench::run_offline(*loaded.engine, requests, options));
    latencies.push_back(result.duration);
    bar.update(latencies.size(), static_cast<uint64_t>(f.num_iters), watch.seconds());
  }
  bar.finish();
  const bench::Summary summary = bench::summarize(latencies, {10, 25, 50, 75, 90, 99});
  fmt::print("Avg latency: {} seconds\n", summary.mean);
  for (const auto& [p, value] : summary.percentiles)
    fmt::print("{:.0f}% percentile latency: {} seconds\n", p, value);
  if (f.output_json.empty()) return ok_status();
  json::Object out;
  out["avg_latency"] = summary.mean;
  out["latencies"] = json::Array(latencies.begin(), latencies.end());
  json::Object percentiles;
  for (const auto& [p, value] : summary.percentiles) percentiles[fmt::format("{:.0f}", p)] = value;
  out["percentiles"] = std::move(percentiles);
  return write_file(f.output_json, json::dump(out) + "\n");
}

void on_chosen(CLI::App& command, std::shared_ptr<OfflineFlags> flags, Status (*run)(OfflineFlags&),
               int& exit_code) {
  command.callback([flags = std::move(flags), run, &exit_code] {
    const Status status = run(*flags);
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace

void add_bench_throughput(CLI::App& bench, int& exit_code) {
  const auto flags = std::make_shared<OfflineFlags>();
  CLI::App* command =
      bench.add_subcommand("throughput", "All requests at once into the engine, without HTTP");
  add_common(*command, *flags);
  add_random_flags(*command, flags->random, true);
  command
      ->add_option("--dataset-path", flags->dataset_path,
                   R"(JSON lines {"prompt": "...", "output_tokens": 128} in place of random prompts)")
      ->group(kBenchGroup);
  add_report_flags(*command, flags->report);
  on_chosen(*command, flags, run_throughput, exit_code);
}

void add_bench_latency(CLI::App& bench, int& exit_code) {
  const auto flags = std::make_shared<OfflineFlags>();
  flags->random.input_len = 32;
  CLI::App* command = bench.add_subcommand("latency", "One batch from its start to its end, repeated");
  add_common(*command, *flags);
  const auto count = [&](const char* name, int& value, int least, const char* help) {
    command->add_option(name, value, help)
        ->check(CLI::Range(least, 1 << 24))
        ->capture_default_str()
        ->group(kBenchGroup);
  };
  count("--input-len", flags->random.input_len, 1, "Prompt tokens of a request");
  count("--output-len", flags->random.output_len, 1, "Tokens to generate for a request");
  count("--batch-size", flags->batch_size, 1, "Requests of a batch");
  count("--num-iters", flags->num_iters, 1, "Batches measured");
  count("--num-iters-warmup", flags->num_iters_warmup, 0, "Batches before, not measured");
  command->add_option("--seed", flags->random.seed, "The same seed gives the same prompts")
      ->capture_default_str()
      ->group(kBenchGroup);
  on_chosen(*command, flags, run_latency, exit_code);
}

}  // namespace pegainfer::apps
