// `pegainfer bench sim`: what a machine would do with a workload, in virtual time; and the hidden
// `bench sim-serve`, a server over the same simulated model for load tests.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "apps/bench_flags.h"
#include "apps/exit_code.h"
#include "apps/watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "bench/report.h"
#include "bench/sim_run.h"
#include "engine/load_engine.h"
#include "server/app.h"
#include "sim/sim_engine.h"
#include "tokenizer/byte_tokenizer.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kMachineGroup = "Machine";
constexpr const char* kReportGroup = "Report";

constexpr const char* kSimFooter =
    "The scheduler, paged KV and prefix cache are the real ones; only the time of a step comes from the\n"
    "profile: max(bytes / bandwidth, flops / peak) of the linear layers, the same of attention, and an\n"
    "overhead. Network and text are not in it. docs/performance/sim.md has the comparison with measured\n"
    "runs: cpu-smollm2, fitted to single batches, predicted 6 to 26 % too much throughput for mixed loads "
    "(52 %\n"
    "on a disturbed run). The GPU profiles are made of measured ceilings: the H100's predicted single steps "
    "1 to "
    "17 % too short, the H200's is compared with nothing.";

struct SimFlags {
  std::string profile = "h100-qwen3-4b";
  bench::SimRunOptions run;
  bench::RandomOptions random;
  ArrivalFlags arrivals;
  std::optional<int> max_concurrency;
  std::optional<int> num_kv_blocks;
  std::string trace;
  ReportFlags report;
  std::string output_json;
};

void add_machine_flags(CLI::App& command, std::string& profile, int& max_num_seqs,
                       int& max_num_batched_tokens) {
  command
      .add_option("--profile", profile,
                  "instant, h100-qwen3-4b, h200-qwen3-4b, cpu-smollm2, or a JSON file of such figures")
      ->capture_default_str()
      ->group(kMachineGroup);
  command.add_option("--max-num-seqs", max_num_seqs, "Requests that run at the same time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(kMachineGroup);
  command.add_option("--max-num-batched-tokens", max_num_batched_tokens, "Tokens in one step")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->group(kMachineGroup);
}

Result<std::vector<bench::BenchRequest>> sim_requests(const SimFlags& f) {
  const bench::IdRange range{0, f.run.profile.vocab_size};
  if (!f.trace.empty()) return bench::trace_dataset(f.trace, range, f.random.seed);
  ASSIGN_OR_RETURN(auto requests, bench::random_ids(f.random, range));
  bench::set_arrivals(requests, f.arrivals.request_rate, f.arrivals.burstiness, f.random.seed);
  return requests;
}

Status run_sim(SimFlags& f) {
  RETURN_IF_ERROR(read_arrivals(f.arrivals));
  ASSIGN_OR_RETURN(bench::ReportOptions options, report_options(f.report));
  ASSIGN_OR_RETURN(f.run.profile, sim::find_profile(f.profile));
  if (f.num_kv_blocks) f.run.profile.num_kv_blocks = *f.num_kv_blocks;
  f.run.max_concurrency = f.max_concurrency.value_or(0);
  ASSIGN_OR_RETURN(const auto requests, sim_requests(f));
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const bench::SimRunResult result, bench::simulate(f.run, requests));
  options.title = "Simulated Benchmark Result";
  options.max_concurrency = f.max_concurrency;
  if (!f.arrivals.infinite && f.trace.empty()) options.request_rate = f.arrivals.request_rate;
  options.burstiness = f.arrivals.burstiness;
  const bench::BenchReport report = bench::make_report(result.outcomes, result.duration, options);
  fmt::print("{}", bench::report_text(report));
  fmt::print("{:<40} {}\n{:<40} {:.2f}\n{:<40} {:.1f}\n{:<40} {}\n", "Steps:", result.num_steps,
             "Mean tokens in a step:",
             result.num_steps > 0 ? static_cast<double>(report.total_input + report.total_output) /
                                        static_cast<double>(result.num_steps)
                                  : 0.0,
             "Device busy (%):", result.duration > 0 ? 100 * result.busy_seconds / result.duration : 0.0,
             "Preemptions:", result.num_preemptions);
  fmt::print(stderr, "profile {}; simulated in {:.2f} s\n", f.run.profile.name, watch.seconds());
  if (f.output_json.empty()) return ok_status();
  const bench::RunFacts facts{.date = date_stamp(),
                              .backend = "sim",
                              .model_id = f.run.profile.name,
                              .num_prompts = static_cast<int>(requests.size())};
  return write_file(f.output_json, bench::report_json(report, facts, result.outcomes, true));
}

struct SimServeFlags {
  std::string profile = "instant";
  std::string tokenizer;
  server::AppOptions app;
  LlmEngineOptions engine;
  double eos_probability = 0;
  double shutdown_seconds = 30;
  bool serial = false;
  WatchFlags watch;
};

Result<server::ServedModel> load_sim(const SimServeFlags& f, Watch& watch,
                                     const server::LoadContext& context) {
  sim::SimEngineOptions options;
  ASSIGN_OR_RETURN(options.profile, sim::find_profile(f.profile));
  options.engine = f.engine;
  options.engine.on_dead = context.on_dead;
  options.engine.observers = watch.observers();
  options.eos_probability = f.eos_probability;
  options.depth = f.serial ? 1 : 2;
  server::ServedModel model;
  model.tokenizer = std::make_shared<ByteTokenizer>();
  if (!f.tokenizer.empty()) {
    ASSIGN_OR_RETURN(model.tokenizer, open_tokenizer(f.tokenizer));
    options.bytes = false;
    options.profile.vocab_size = model.tokenizer->vocab_size();
  }
  model.names = {"sim-" + options.profile.name};
  model.engine = sim::make_sim_engine(std::move(options));
  model.created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  watch.engine_ready(model.engine, {.model_name = model.names.front(), .device = "", .cache_config = {}});
  return model;
}

Status run_sim_serve(SimServeFlags& f) {
  f.app.shutdown_timeout = std::chrono::milliseconds(static_cast<int64_t>(f.shutdown_seconds * 1000));
  f.app.on_listening = [](const std::string& url) {
    fmt::print("listening on {}\n", url);
    std::fflush(stdout);
  };
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptors();
  ASSIGN_OR_RETURN(const auto watch, Watch::create(f.watch));
  watch->connect(f.app);
  Status status = server::run_app(
      f.app, [&](const server::LoadContext& context) { return load_sim(f, *watch, context); });
  watch->finish();
  return status;
}

}  // namespace

void add_bench_sim(CLI::App& bench, int& exit_code) {
  const auto flags = std::make_shared<SimFlags>();
  CLI::App* command = bench.add_subcommand(
      "sim", "Predict throughput and latency of a machine for a workload, in virtual time");
  add_machine_flags(*command, flags->profile, flags->run.max_num_seqs, flags->run.max_num_batched_tokens);
  command->add_option("--num-kv-blocks", flags->num_kv_blocks, "Of the KV cache, in place of the profile's")
      ->check(CLI::Range(2, 1 << 30))
      ->group(kMachineGroup);
  command
      ->add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", flags->run.enable_prefix_caching,
                 "Random prompts share nothing but --random-prefix-len (on)")
      ->group(kMachineGroup);
  command
      ->add_flag_callback(
          "--no-async-scheduling", [f = flags.get()] { f->run.depth = 1; },
          "Plan a step after the one before")
      ->group(kMachineGroup);
  add_random_flags(*command, flags->random, false);
  add_arrival_flags(*command, flags->arrivals);
  command
      ->add_option("--max-concurrency", flags->max_concurrency,
                   "Requests under way at the same time; more wait at the client")
      ->check(CLI::Range(1, 1 << 20))
      ->group("Workload");
  command
      ->add_option(
          "--trace", flags->trace,
          R"(JSON lines {"arrival_s": 0.5, "prompt_tokens": 100, "output_tokens": 20} in place of random requests)")
      ->group("Workload");
  add_report_flags(*command, flags->report);
  command->add_option("--output-json", flags->output_json, "Write figures and all requests to this file")
      ->group(kReportGroup);
  command->footer(kSimFooter);
  command->callback([flags, &exit_code] {
    const Status status = run_sim(*flags);
    if (!status) exit_code = report(status.error());
  });
}

// Hidden: for load tests of the server, not for users.
void add_bench_sim_serve(CLI::App& bench, int& exit_code) {
  const auto flags = std::make_shared<SimServeFlags>();
  CLI::App* command = bench.add_subcommand("sim-serve", "Serve a simulated model: for load tests");
  command->group("");
  http::Options& http = flags->app.http;
  add_machine_flags(*command, flags->profile, flags->engine.max_num_seqs,
                    flags->engine.max_num_batched_tokens);
  command->add_option("--tokenizer", flags->tokenizer, "Of this model; default: a token a byte");
  command->add_option("--host", http.host, "Address to listen on")->capture_default_str();
  command->add_option("-p,--port", http.port, "Port; 0: a free one, which is printed")->capture_default_str();
  command->add_option("--max-connections", http.limits.max_connections, "Connections at the same time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--max-queued-requests", flags->engine.max_queued_requests, "0: no limit")
      ->capture_default_str();
  command->add_option("--max-queued-tokens", flags->engine.max_queued_tokens, "0: no limit")
      ->capture_default_str();
  command->add_option("--eos-probability", flags->eos_probability, "Of each token to end its request")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--shutdown-timeout", flags->shutdown_seconds, "Seconds for requests under way")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command->add_flag("--no-async-scheduling", flags->serial, "Plan a step after the one before");
  command->add_flag("--disable-log-stats", flags->watch.disable_log_stats,
                    "No line of figures every ten seconds");
  command->callback([flags, &exit_code] {
    const Status status = run_sim_serve(*flags);
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace pegainfer::apps
