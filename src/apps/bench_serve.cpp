// `pegainfer bench serve`: load on any OpenAI-compatible server, with the flags and figures of
// `vllm bench serve`.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "apps/bench_flags.h"
#include "apps/exit_code.h"
#include "apps/progress.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "bench/load_client.h"
#include "bench/report.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kServerGroup = "Server";
constexpr const char* kWorkloadGroup = "Workload";
constexpr const char* kRequestGroup = "Requests";
constexpr const char* kReportGroup = "Report";
// Without a tokenizer prompts are ids that every vocabulary has and that are seldom special.
constexpr bench::IdRange kPlainIds{.first_id = 1'000, .num_ids = 20'000};

struct ServeBenchFlags {
  std::string base_url;
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string endpoint = "/v1/completions";
  std::string model;
  std::string tokenizer;
  std::vector<std::string> headers;
  std::string dataset = "random";
  std::string dataset_path;
  int custom_output_len = 256;
  bench::RandomOptions random;
  ArrivalFlags arrivals;
  std::optional<int> max_concurrency;
  int num_warmups = 0;
  bool ignore_eos = false;
  double temperature = 0;
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<int> logprobs;
  std::string extra_body = "{}";
  ReportFlags report;
  bool save_result = false;
  bool save_detailed = false;
  bool disable_progress = false;
  std::string result_dir;
  std::string result_filename;
};

void add_server_flags(CLI::App& command, ServeBenchFlags& f) {
  command.add_option("--base-url", f.base_url, "http://host:port[/prefix], in place of --host and --port")
      ->group(kServerGroup);
  command.add_option("--host", f.host, "The server's host")->capture_default_str()->group(kServerGroup);
  command.add_option("--port", f.port, "The server's port")->capture_default_str()->group(kServerGroup);
  command.add_option("--endpoint", f.endpoint, "/v1/completions or /v1/chat/completions")
      ->capture_default_str()
      ->group(kServerGroup);
  command.add_option("-m,--model", f.model, "The model's name in requests; default: the server's first")
      ->group(kServerGroup);
  command
      .add_option("--tokenizer", f.tokenizer,
                  "A model's folder, .gguf file or hub name: prompts are then text of exactly the wanted "
                  "number of tokens. Without it they are token ids, or words where ids are refused")
      ->group(kServerGroup);
  command.add_option("--header", f.headers, "KEY=VALUE, sent with every request; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(kServerGroup);
}

void add_request_flags(CLI::App& command, ServeBenchFlags& f) {
  command.add_option("--dataset-name", f.dataset, "random, or custom: the lines of --dataset-path")
      ->check(CLI::IsMember({"random", "custom"}))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option("--dataset-path", f.dataset_path,
                  R"(JSON lines: {"prompt": "...", "output_tokens": 128}; the latter may be left out)")
      ->group(kWorkloadGroup);
  command.add_option("--custom-output-len", f.custom_output_len, "Where a line has no output_tokens")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command
      .add_option("--max-concurrency", f.max_concurrency,
                  "Requests under way at the same time; more wait at the client. Default: no limit")
      ->check(CLI::Range(1, 1 << 20))
      ->group(kWorkloadGroup);
  command.add_option("--num-warmups", f.num_warmups, "Requests sent before, and not counted")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->group(kWorkloadGroup);
  command.add_flag("--ignore-eos", f.ignore_eos, "Generate all tokens asked for")->group(kRequestGroup);
  command.add_option("--temperature", f.temperature, "0: greedy")
      ->capture_default_str()
      ->group(kRequestGroup);
  command.add_option("--top-p", f.top_p, "As in the request")->group(kRequestGroup);
  command.add_option("--top-k", f.top_k, "As in the request")->group(kRequestGroup);
  command.add_option("--logprobs", f.logprobs, "As in the request")->group(kRequestGroup);
  command.add_option("--extra-body", f.extra_body, "A JSON object whose members go into every request")
      ->group(kRequestGroup);
}

void add_result_flags(CLI::App& command, ServeBenchFlags& f) {
  add_report_flags(command, f.report);
  command.add_flag("--save-result", f.save_result, "Write the figures to a JSON file")->group(kReportGroup);
  command.add_flag("--save-detailed", f.save_detailed, "With every request's times, text and error in it")
      ->group(kReportGroup);
  command.add_option("--result-dir", f.result_dir, "Where to; default: the working directory")
      ->group(kReportGroup);
  command
      .add_option("--result-filename", f.result_filename, "Its name; default: made of rate, model and date")
      ->group(kReportGroup);
  command.add_flag("--disable-tqdm,--disable-progress", f.disable_progress, "Show no progress")
      ->group(kReportGroup);
}

class ServeBench {
 public:
  explicit ServeBench(ServeBenchFlags& flags) : f_(flags) {}

  Status run() {
    RETURN_IF_ERROR(prepare());
    RETURN_IF_ERROR(make_requests());
    if (f_.num_warmups > 0) RETURN_IF_ERROR(warm_up());
    ASSIGN_OR_RETURN(const bench::LoadResult result, measure());
    ASSIGN_OR_RETURN(bench::ReportOptions options, report_options(f_.report));
    options.max_concurrency = f_.max_concurrency;
    if (!f_.arrivals.infinite) options.request_rate = f_.arrivals.request_rate;
    options.burstiness = f_.arrivals.burstiness;
    const bench::BenchReport report = bench::make_report(result.outcomes, result.duration, options);
    fmt::print("{}", bench::report_text(report));
    fmt::print(stderr, "{}", bench::error_lines(result.outcomes));
    if (f_.save_result || f_.save_detailed) RETURN_IF_ERROR(save(report, result.outcomes));
    if (report.completed > 0) return ok_status();
    return Error{Code::kUnavailable, "no request was answered", {}, {}};
  }

 private:
  [[nodiscard]] bool chat() const { return f_.endpoint.ends_with("/chat/completions"); }

  Status prepare() {
    RETURN_IF_ERROR(read_arrivals(f_.arrivals));
    RETURN_IF_ERROR(report_options(f_.report));
    if (!f_.base_url.empty()) {
      ASSIGN_OR_RETURN(server_, bench::parse_url(f_.base_url));
    } else {
      server_.host = f_.host;
      server_.port = f_.port;
    }
    for (const std::string& header : f_.headers) {
      const size_t equals = header.find('=');
      if (equals == std::string::npos || header.find_first_of("\r\n") != std::string::npos)
        return invalid_argument("--header " + header + ": it must be KEY=VALUE", "--header");
      headers_.emplace_back(header.substr(0, equals), header.substr(equals + 1));
    }
    auto extra = json::parse(f_.extra_body);
    if (!extra || !extra->is_object())
      return invalid_argument("--extra-body: it must be a JSON object", "--extra-body");
    extra_ = extra->get_object();
    if (!f_.endpoint.starts_with('/'))
      return invalid_argument("--endpoint " + f_.endpoint + ": it must begin with /", "--endpoint");
    if (f_.model.empty()) return find_model();
    return ok_status();
  }

  Status find_model() {
    ASSIGN_OR_RETURN(const bench::HttpReply reply, bench::ask_server(server_, "/v1/models", {}, headers_));
    if (reply.status == 200) {
      const auto body = json::parse(reply.body);
      const json::Value* id = nullptr;
      if (body) {
        boost::system::error_code error;
        id = body->find_pointer("/data/0/id", error);
      }
      if (id != nullptr && id->is_string()) {
        f_.model = std::string(id->get_string());
        return ok_status();
      }
    }
    return Error{Code::kUnavailable,
                 fmt::format("GET /v1/models gave {}; is the server ready? --model names a model without it",
                             reply.status),
                 {},
                 {}};
  }

  Status make_requests() {
    if (f_.dataset == "custom") {
      if (f_.dataset_path.empty())
        return invalid_argument("--dataset-name custom needs --dataset-path", "--dataset-path");
      ASSIGN_OR_RETURN(requests_,
                       bench::custom_dataset(f_.dataset_path, f_.random.num_prompts, f_.custom_output_len));
    } else if (!f_.tokenizer.empty()) {
      ASSIGN_OR_RETURN(const auto tokenizer, open_tokenizer(f_.tokenizer));
      ASSIGN_OR_RETURN(requests_, bench::random_text(f_.random, *tokenizer));
    } else if (!chat() && takes_ids()) {
      ASSIGN_OR_RETURN(requests_, bench::random_ids(f_.random, kPlainIds));
    } else {
      ASSIGN_OR_RETURN(requests_, bench::random_words(f_.random));
    }
    bench::set_arrivals(requests_, f_.arrivals.request_rate, f_.arrivals.burstiness, f_.random.seed);
    return ok_status();
  }

  // Asks once; a server that takes no ids says so with a status of 400.
  [[nodiscard]] bool takes_ids() const {
    bench::BenchRequest probe;
    probe.prompt = {kPlainIds.first_id, kPlainIds.first_id + kPlainIds.num_ids - 1};
    probe.output_len = 1;
    const auto reply = bench::ask_server(server_, f_.endpoint, body_of(probe), headers_);
    return !reply || reply->status < 400 || reply->status >= 500 || reply->status == 429;
  }

  [[nodiscard]] std::string body_of(const bench::BenchRequest& request) const {
    json::Object body;
    body["model"] = f_.model;
    if (chat()) {
      body["messages"] = json::Array{json::Object{{"role", "user"}, {"content", request.text}}};
    } else if (!request.text.empty()) {
      body["prompt"] = request.text;
    } else {
      body["prompt"] = json::Array(request.prompt.begin(), request.prompt.end());
    }
    body["max_tokens"] = request.output_len;
    body["temperature"] = f_.temperature;
    if (f_.top_p) body["top_p"] = *f_.top_p;
    if (f_.top_k) body["top_k"] = *f_.top_k;
    if (f_.logprobs) body["logprobs"] = *f_.logprobs;
    if (f_.ignore_eos) body["ignore_eos"] = true;
    body["stream"] = true;
    body["stream_options"] = json::Object{{"include_usage", true}};
    for (const auto& entry : extra_) body[entry.key()] = entry.value();
    return json::dump(body);
  }

  [[nodiscard]] bench::LoadOptions load_options() const {
    bench::LoadOptions options;
    options.server = server_;
    options.path = f_.endpoint;
    options.headers = headers_;
    options.max_concurrency = f_.max_concurrency.value_or(0);
    options.keep_text = f_.save_detailed;
    return options;
  }

  Status warm_up() {
    bench::LoadOptions options = load_options();
    options.body = [&](size_t i) { return body_of(requests_[i % requests_.size()]); };
    ASSIGN_OR_RETURN(
        const bench::LoadResult result,
        bench::run_load(options, std::vector<bench::LoadRequest>(static_cast<size_t>(f_.num_warmups))));
    fmt::print(stderr, "{}", bench::error_lines(result.outcomes));
    return ok_status();
  }

  Result<bench::LoadResult> measure() {
    fmt::print(stderr, "{} requests to http://{}:{}{}{}, rate {}, concurrency {}\n", requests_.size(),
               server_.host, server_.port, server_.base_path, f_.endpoint, f_.arrivals.rate_text,
               f_.max_concurrency ? std::to_string(*f_.max_concurrency) : "unlimited");
    std::vector<bench::LoadRequest> load;
    for (const bench::BenchRequest& r : requests_) load.push_back({r.arrival, r.prompt_len});
    bench::LoadOptions options = load_options();
    options.body = [&](size_t i) { return body_of(requests_[i]); };
    ProgressBar bar = ProgressBar::to_stderr({.label = "serving", .unit = "requests"});
    const Stopwatch watch;
    if (!f_.disable_progress)
      options.on_done = [&](size_t done) { bar.update(done, requests_.size(), watch.seconds()); };
    auto result = bench::run_load(options, load);
    bar.finish();
    return result;
  }

  Status save(const bench::BenchReport& report, const std::vector<bench::RequestOutcome>& outcomes) const {
    const bench::RunFacts facts{.date = date_stamp(),
                                .model_id = f_.model,
                                .tokenizer_id = f_.tokenizer.empty() ? f_.model : f_.tokenizer,
                                .num_prompts = static_cast<int>(requests_.size())};
    std::string name = f_.result_filename;
    if (name.empty()) {
      const std::string model = f_.model.substr(f_.model.rfind('/') + 1);
      name = fmt::format("openai-{}qps-{}-{}.json", f_.arrivals.rate_text, model, facts.date);
    }
    const std::string path = f_.result_dir.empty() ? name : f_.result_dir + "/" + name;
    RETURN_IF_ERROR(write_file(path, bench::report_json(report, facts, outcomes, f_.save_detailed)));
    fmt::print(stderr, "saved {}\n", path);
    return ok_status();
  }

  ServeBenchFlags& f_;
  bench::ServerUrl server_;
  std::vector<std::pair<std::string, std::string>> headers_;
  json::Object extra_;
  std::vector<bench::BenchRequest> requests_;
};

}  // namespace

void add_bench_serve(CLI::App& bench, int& exit_code) {
  const auto flags = std::make_shared<ServeBenchFlags>();
  CLI::App* command = bench.add_subcommand(
      "serve",
      "Load on an OpenAI-compatible server: throughput and latencies under vllm bench serve's names");
  add_server_flags(*command, *flags);
  add_random_flags(*command, flags->random, false);
  add_arrival_flags(*command, flags->arrivals);
  add_request_flags(*command, *flags);
  add_result_flags(*command, *flags);
  command->footer(kExitCodesHelp);
  command->callback([flags, &exit_code] {
    std::signal(SIGPIPE, SIG_IGN);
    set_log_level(LogLevel::kWarn);
    raise_descriptors();
    const Status status = ServeBench(*flags).run();
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace pegainfer::apps
