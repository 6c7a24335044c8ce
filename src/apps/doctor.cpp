// `pegainfer doctor`: whether this machine is ready to serve, and a model with it, on one screen.
#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/bench_flags.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "backend/cpu/machine.h"
#include "backend/cuda_probe.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/plan_engine.h"
#include "server/http/server.h"
#include "server/version.h"

namespace pegainfer::apps {
namespace {

struct DoctorFlags {
  std::string model;
  std::string device = "auto";
  http::Options http;
  bool json = false;
};

enum class Verdict : uint8_t { kOk, kWarn, kFail };
constexpr std::string_view name_of(Verdict v) {
  return v == Verdict::kOk ? "OK" : v == Verdict::kWarn ? "WARN" : "FAIL";
}

struct Finding {
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string text;
  std::string advice;  // what to do, "" when nothing
};

Finding check_cpu(const MachineFacts& machine) {
  Finding out{"cpu", Verdict::kOk,
              fmt::format("{} of {} logical CPUs as physical cores, {} kernels", machine.cores,
                          machine.logical_cpus, machine.isa)};
  if (machine.missing.empty()) return out;
  out.text += fmt::format("; {} would need {}", machine.missing_for, machine.missing);
  if (machine.isa != "portable") return out;
  out.verdict = Verdict::kWarn;
  out.advice = "a CPU with AVX2 or AVX-512 is several times as fast";
  return out;
}

Finding check_memory(const MachineFacts& machine) {
  if (machine.memory.total_bytes == 0)
    return {"memory", Verdict::kWarn, "/proc/meminfo says nothing", "give --kv-cache-memory-bytes yourself"};
  return {"memory", Verdict::kOk,
          fmt::format("{} of {} available", human_bytes(machine.memory.available_bytes),
                      human_bytes(machine.memory.total_bytes))};
}

std::string devices_text(const CudaProbe& probe) {
  std::string out;
  for (const ProbedCudaDevice& d : probe.devices)
    out += fmt::format("{}{} ({}, compute {}.{})", out.empty() ? "" : ", ", d.name,
                       human_bytes(d.total_bytes), d.major, d.minor);
  return out + fmt::format("; the driver supports CUDA {}.{}", probe.driver_version / 1000,
                           probe.driver_version % 1000 / 10);
}

// What a start with --device cuda would say decides; the driver's own account says what there is.
Finding check_gpu(const Result<std::unique_ptr<Backend>>& cuda) {
  const CudaProbe probe = probe_cuda();
  if (cuda)
    return {"gpu", Verdict::kOk,
            fmt::format("{}: {} of {} free", (*cuda)->description(),
                        human_bytes((*cuda)->memory().available_bytes),
                        human_bytes((*cuda)->memory().total_bytes))};
  if (probe.devices.empty()) {
    if (!probe.has_driver)
      return {"gpu", Verdict::kOk, fmt::format("none ({}); the CPU serves", probe.error)};
    return {"gpu", Verdict::kWarn, probe.error, "nvidia-smi should list the card; in a container pass it in"};
  }
  Finding out{"gpu", Verdict::kWarn,
              fmt::format("{}; not used: {}", devices_text(probe), cuda.error().message),
              "install a build with the CUDA backend; until then the CPU serves"};
  if (!probe.has_cublaslt) out.text += "; libcublasLt is not found by the loader";
  return out;
}

// As `serve` does it.
Finding check_port(const http::Options& options) {
  const auto server = http::HttpServer::listen(options, http::Router(std::vector<http::Route>()));
  if (server) return {"port", Verdict::kOk, fmt::format("{} is free", (*server)->url())};
  return {"port", Verdict::kFail, server.error().message, "end what listens there, or take another --port"};
}

// `serve` raises the soft limit to the hard one; a client is a descriptor, and a few more are files.
Finding check_files(size_t max_connections) {
  constexpr size_t kOthers = 64;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return {"files", Verdict::kWarn, "the limit of open files is unknown"};
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= max_connections + kOthers)
    return {"files", Verdict::kOk,
            fmt::format("{} may be open, for {} connections", limit.rlim_max, max_connections)};
  return {"files", Verdict::kWarn,
          fmt::format("{} may be open, --max-connections is {}", limit.rlim_max, max_connections),
          "raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) or lower --max-connections"};
}

Finding check_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view text(value);
    const bool utf8 =
        text.find("UTF-8") != std::string_view::npos || text.find("utf8") != std::string_view::npos;
    if (utf8) return {"locale", Verdict::kOk, fmt::format("{}={}", name, text)};
    return {"locale", Verdict::kWarn, fmt::format("{}={} is not UTF-8, which all text here is", name, text),
            "export LC_ALL=C.UTF-8 before `generate` on a terminal"};
  }
  return {"locale", Verdict::kOk, "not set; text is UTF-8"};
}

void check_model(const DoctorFlags& flags, const Backend& backend, std::vector<Finding>& out) {
  EngineOptions options;
  options.model = flags.model;
  const auto plan = plan_engine(options, backend);
  if (!plan)
    return out.push_back(
        {"model", Verdict::kFail, plan.error().message, "`pegainfer inspect` says more of a file"});
  if (plan->config_only)
    return out.push_back({"model", Verdict::kFail, "config.json is there, its weights are not",
                          "download them; --load-format dummy runs with made-up ones"});
  const auto tokenizer = open_tokenizer(flags.model);
  if (!tokenizer)
    return out.push_back(
        {"model", Verdict::kFail, tokenizer.error().message, "tokenizer.json belongs beside the weights"});
  out.push_back({"model", Verdict::kOk,
                 fmt::format("{}: {}, weights {} in memory", default_model_name(flags.model),
                             plan->architecture, human_bytes(plan->needs.weights_bytes))});
  if (!plan->fits)
    return out.push_back({"fit", Verdict::kFail, plan->reason,
                          plan->largest_max_model_len > 0
                              ? fmt::format("--max-model-len {} fits", plan->largest_max_model_len)
                              : std::string("a smaller model, or a machine with more memory")});
  const MemoryPlan& m = *plan->fits;
  Finding fit{"fit", Verdict::kOk,
              fmt::format("{} of {} on {}: KV cache of {} tokens, {:.1f} requests of {}",
                          human_bytes(m.weights_bytes + m.workspace_bytes + m.kv_bytes),
                          human_bytes(m.available_bytes), backend.name(), m.kv_tokens(),
                          m.full_length_requests(), m.max_model_len)};
  if (m.context_shortened) {
    fit.verdict = Verdict::kWarn;
    fit.advice = fmt::format("the model has {} positions; --kv-cache-dtype or more memory give more of them",
                             plan->model_positions);
  }
  out.push_back(std::move(fit));
}

std::vector<Finding> examine(const DoctorFlags& flags) {
  std::vector<Finding> out;
  out.push_back({"version", Verdict::kOk, "pegainfer " + std::string(kVersion)});
  const MachineFacts machine = machine_facts();
  out.push_back(check_cpu(machine));
  out.push_back(check_memory(machine));
  out.push_back(check_gpu(create_backend({.device = "cuda"})));
  out.push_back(check_port(flags.http));
  out.push_back(check_files(flags.http.limits.max_connections));
  out.push_back(check_locale());
  const auto backend = create_backend({.device = flags.device});
  if (!backend) {
    out.push_back({"device", Verdict::kFail, backend.error().message, "take another --device"});
  } else if (!flags.model.empty()) {
    check_model(flags, **backend, out);
  }
  return out;
}

std::string as_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& f : findings) {
    out += fmt::format("{:<5} {:<8} {}\n", name_of(f.verdict), f.name, f.text);
    if (!f.advice.empty()) out += fmt::format("{:<14} -> {}\n", "", f.advice);
  }
  return out;
}

std::string as_json(const std::vector<Finding>& findings, bool ok) {
  json::Array checks;
  for (const Finding& f : findings) {
    json::Object check{{"name", f.name}, {"verdict", name_of(f.verdict)}, {"text", f.text}};
    if (!f.advice.empty()) check["advice"] = f.advice;
    checks.push_back(std::move(check));
  }
  json::Object out{{"ok", ok}};
  out["checks"] = std::move(checks);
  return json::dump(out) + "\n";
}

int doctor(const DoctorFlags& flags) {
  set_log_level(LogLevel::kError);
  const std::vector<Finding> findings = examine(flags);
  const bool ok = std::none_of(findings.begin(), findings.end(),
                               [](const Finding& f) { return f.verdict == Verdict::kFail; });
  const std::string text = flags.json ? as_json(findings, ok) : as_text(findings);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return ok ? kExitOk : kExitInvalidFile;
}

}  // namespace

void add_doctor(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<DoctorFlags>();
  CLI::App* command =
      app.add_subcommand("doctor", "Whether this machine, and a model on it, is ready to serve");
  command->add_option("MODEL,-m,--model", flags->model, "A folder, a .gguf file, or a hub name");
  command->add_option("--device", flags->device, "auto, cpu or cuda")->capture_default_str();
  command->add_option("--host", flags->http.host, "Address to listen on")->capture_default_str();
  command->add_option("-p,--port", flags->http.port, "Port to listen on")->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object in place of the lines");
  command->footer("Exit codes: 0 ready (warnings are none to stop for); 1 something fails, marked FAIL.");
  command->callback([flags, &exit_code] { exit_code = doctor(*flags); });
}

}  // namespace pegainfer::apps
