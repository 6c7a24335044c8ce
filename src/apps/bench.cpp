// `pegainfer bench`: its subcommands, and what they share.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <string_view>

#include "apps/bench_flags.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "checkpoint/checkpoint.h"
#include "engine/load_tokenizer.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kWorkloadGroup = "Workload";
constexpr const char* kReportGroup = "Report";

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// Whole text as a number; NaN when it is none.
double to_number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace

void add_random_flags(CLI::App& command, bench::RandomOptions& random, bool short_names) {
  const auto name = [&](const std::string& full, const std::string& brief) {
    return short_names ? full + "," + brief : full;
  };
  command.add_option("--num-prompts", random.num_prompts, "Requests to send")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option(name("--random-input-len", "--input-len"), random.input_len, "Prompt tokens of a request")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option(name("--random-output-len", "--output-len"), random.output_len,
                  "Tokens to generate for a request")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option("--random-range-ratio", random.range_ratio,
                  "Lengths are uniform in [len * (1 - r), len * (1 + r)]")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option("--random-prefix-len", random.prefix_len,
                  "Tokens that all prompts begin with, beside their length")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command.add_option("--seed", random.seed, "The same seed gives the same prompts, lengths and arrivals")
      ->capture_default_str()
      ->group(kWorkloadGroup);
}

void add_arrival_flags(CLI::App& command, ArrivalFlags& flags) {
  command
      .add_option("--request-rate", flags.rate_text, "Requests a second, at random times; inf: all at once")
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option("--burstiness", flags.burstiness,
                  "Shape of the intervals' gamma distribution; 1: a Poisson process, below: bursts")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str()
      ->group(kWorkloadGroup);
}

Status read_arrivals(ArrivalFlags& flags) {
  flags.request_rate = to_number(flags.rate_text);
  flags.infinite = std::isinf(flags.request_rate) && flags.request_rate > 0;
  if (!(flags.request_rate > 0))
    return invalid_argument("--request-rate " + flags.rate_text + ": it must be above 0, or inf",
                            "--request-rate");
  return ok_status();
}

void add_report_flags(CLI::App& command, ReportFlags& flags) {
  command
      .add_option("--percentile-metrics", flags.percentile_metrics,
                  "Of ttft, tpot, itl, e2el: those reported")
      ->capture_default_str()
      ->group(kReportGroup);
  command
      .add_option("--metric-percentiles", flags.metric_percentiles,
                  "Percentiles beside the mean and the median")
      ->capture_default_str()
      ->group(kReportGroup);
}

Result<bench::ReportOptions> report_options(const ReportFlags& flags) {
  constexpr std::array<std::string_view, 4> kKnown{"ttft", "tpot", "itl", "e2el"};
  bench::ReportOptions options;
  options.metrics = split(flags.percentile_metrics);
  for (const std::string& metric : options.metrics)
    if (std::ranges::find(kKnown, metric) == kKnown.end())
      return invalid_argument("--percentile-metrics " + metric + ": it must be ttft, tpot, itl or e2el",
                              "--percentile-metrics");
  options.percentiles.clear();
  for (const std::string& text : split(flags.metric_percentiles)) {
    const double percent = to_number(text);
    if (!(percent >= 0 && percent <= 100))
      return invalid_argument("--metric-percentiles " + text + ": it must be 0 to 100",
                              "--metric-percentiles");
    options.percentiles.push_back(percent);
  }
  return options;
}

Status write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return io_error(path + ": " + std::strerror(errno));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written) return io_error(path + ": could not be written");
  return ok_status();
}

std::string date_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &local);
  return text.data();
}

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model) {
  ASSIGN_OR_RETURN(const std::string path, resolve_model_path(model));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                   Checkpoint::open(path, CheckpointOptions{.need_weights = false}));
  return load_tokenizer(checkpoint);
}

void raise_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure a server, the engine alone, or a simulated machine");
  command->require_subcommand(1);
  command->footer(kExitCodesHelp);
  add_bench_serve(*command, exit_code);
  add_bench_throughput(*command, exit_code);
  add_bench_latency(*command, exit_code);
  add_bench_sim(*command, exit_code);
  add_bench_sim_serve(*command, exit_code);
}

}  // namespace pegainfer::apps
