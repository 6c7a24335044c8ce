// `pegainfer plan`: what a model takes of a machine's memory, without the machine and without weights.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/human_number.h"
#include "apps/model_flags.h"
#include "backend/cards.h"
#include "base/json.h"
#include "engine/plan_engine.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kMachineGroup = "Machine";

struct PlanFlags {
  ModelFlags model;
  std::string gpu;
  std::string gpu_memory;
  bool json = false;
};

struct Machine {
  std::unique_ptr<Backend> backend;
  double gb_per_s = 0;  // 0: not known
};

Result<Machine> machine_of(const PlanFlags& flags, const EngineOptions& options) {
  Machine out;
  if (flags.gpu.empty() && flags.gpu_memory.empty()) {
    ASSIGN_OR_RETURN(out.backend, create_backend({.device = options.device, .threads = options.threads}));
    return out;
  }
  Card card = card_of_memory(0);
  if (!flags.gpu.empty()) {
    ASSIGN_OR_RETURN(card, find_card(flags.gpu));
  }
  if (!flags.gpu_memory.empty()) {
    ASSIGN_OR_RETURN(const int64_t bytes, parse_human_number(flags.gpu_memory, "--gpu-memory"));
    if (bytes < 1) return invalid_argument("--gpu-memory must be positive", "--gpu-memory");
    card.memory_gib = card_of_memory(static_cast<size_t>(bytes)).memory_gib;
  }
  out.backend = create_planning_backend(card);
  out.gb_per_s = card.gb_per_s;
  return out;
}

// 1234567 -> "1,234,567"
std::string grouped(uint64_t n) {
  std::string digits = fmt::format("{}", n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}
std::string grouped(int n) { return grouped(static_cast<uint64_t>(std::max(n, 0))); }

double milliseconds(uint64_t bytes, double gb_per_s) { return static_cast<double>(bytes) / gb_per_s / 1e6; }

size_t held_back(const EnginePlan& plan) { return plan.memory.total_bytes - plan.memory.available_bytes; }

class Lines {
 public:
  void add(std::string_view name, std::string_view value) {
    text += fmt::format("  {:<12}{}\n", name, value);
  }
  std::string text;
};

void add_memory(const EnginePlan& plan, bool is_card, Lines& out) {
  out.add("weights", human_bytes(plan.needs.weights_bytes) +
                         (plan.config_only ? ", by config.json: no weights were looked at" : ""));
  out.add("workspace", human_bytes(plan.needs.workspace_bytes));
  if (is_card)
    out.add("driver", fmt::format("{} for the context, kernels and graphs", human_bytes(held_back(plan))));
  size_t all = plan.needs.fixed() + (is_card ? held_back(plan) : 0);
  if (plan.fits) {
    const MemoryPlan& m = *plan.fits;
    out.add("KV cache",
            fmt::format("{}: {} tokens, {:.1f} requests of {}", human_bytes(m.kv_bytes),
                        grouped(m.kv_tokens()), m.full_length_requests(), grouped(m.max_model_len)));
    all += m.kv_bytes;
  } else {
    const size_t kv = plan.needs.kv_bytes(plan.max_model_len, plan.block_size);
    out.add("KV cache",
            fmt::format("{} for one request of {} tokens", human_bytes(kv), grouped(plan.max_model_len)));
    all += kv;
  }
  const std::string share = plan.memory_utilization > 0
                                ? fmt::format(" (--gpu-memory-utilization {})", plan.memory_utilization)
                                : std::string();
  out.add("in all",
          fmt::format("{} of {}{}", human_bytes(all),
                      human_bytes(is_card ? plan.memory.total_bytes : plan.memory.available_bytes), share));
}

void add_bound(const EnginePlan& plan, double gb_per_s, Lines& out) {
  if (gb_per_s <= 0) return;
  out.add("bound", fmt::format("{:.2f} ms a token of one request: {:.2f} GB of weights at a nominal {} GB/s;",
                               milliseconds(plan.decode_weight_bytes, gb_per_s),
                               static_cast<double>(plan.decode_weight_bytes) / 1e9,
                               grouped(static_cast<uint64_t>(gb_per_s))));
  out.add("", fmt::format("{:.2f} ms behind {} tokens. Nothing is faster; a real step is slower",
                          milliseconds(plan.decode_weight_bytes + plan.kv_read_bytes, gb_per_s),
                          grouped(plan.max_model_len)));
}

std::string as_text(const PlanFlags& flags, const Machine& machine, const EnginePlan& plan) {
  Lines out;
  out.text =
      fmt::format("{} ({}, {}) on {}: {}\n", default_model_name(flags.model.engine.model), plan.architecture,
                  plan.dtype, machine.backend->description(), plan.fits ? "fits" : "does not fit");
  add_memory(plan, machine.backend->name() == "cuda", out);
  if (plan.fits) {
    const std::string shortened = plan.fits->context_shortened ? fmt::format("; the model has {} positions",
                                                                             grouped(plan.model_positions))
                                                               : std::string();
    out.add("context", fmt::format("--max-model-len {}{}", plan.max_model_len, shortened));
  } else {
    out.add("context",
            plan.largest_max_model_len > 0
                ? fmt::format("--max-model-len {} is the largest that fits", plan.largest_max_model_len)
                : "no --max-model-len fits");
    out.add("why", plan.reason);
  }
  add_bound(plan, machine.gb_per_s, out);
  return out.text;
}

std::string as_json(const PlanFlags& flags, const Machine& machine, const EnginePlan& plan) {
  json::Object out;
  out["model"] = flags.model.engine.model;
  out["architecture"] = plan.architecture;
  out["dtype"] = plan.dtype;
  out["kv_cache_dtype"] = plan.kv_cache_dtype;
  out["config_only"] = plan.config_only;
  out["machine"] = machine.backend->description();
  out["fits"] = plan.fits.has_value();
  if (!plan.fits) out["reason"] = plan.reason;
  out["total_bytes"] = plan.memory.total_bytes;
  out["available_bytes"] = plan.memory.available_bytes;
  out["memory_utilization"] = plan.memory_utilization;
  out["weights_bytes"] = plan.needs.weights_bytes;
  out["workspace_bytes"] = plan.needs.workspace_bytes;
  out["kv_bytes_per_token"] = plan.kv_bytes_per_token;
  out["kv_bytes"] =
      plan.fits ? plan.fits->kv_bytes : plan.needs.kv_bytes(plan.max_model_len, plan.block_size);
  if (plan.fits) {
    out["kv_tokens"] = plan.fits->kv_tokens();
    out["full_length_requests"] = plan.fits->full_length_requests();
  }
  out["max_model_len"] = plan.max_model_len;
  out["largest_max_model_len"] = plan.largest_max_model_len;
  out["decode_weight_bytes"] = plan.decode_weight_bytes;
  if (machine.gb_per_s > 0) {
    out["nominal_gb_per_s"] = machine.gb_per_s;
    out["bound_ms_per_token"] = milliseconds(plan.decode_weight_bytes, machine.gb_per_s);
    out["bound_ms_per_token_full_context"] =
        milliseconds(plan.decode_weight_bytes + plan.kv_read_bytes, machine.gb_per_s);
  }
  return json::dump(out) + "\n";
}

Result<int> plan(const PlanFlags& flags) {
  ASSIGN_OR_RETURN(const EngineOptions options, to_engine_options(flags.model));
  ASSIGN_OR_RETURN(const Machine machine, machine_of(flags, options));
  ASSIGN_OR_RETURN(const EnginePlan plan, plan_engine(options, *machine.backend));
  const std::string text = flags.json ? as_json(flags, machine, plan) : as_text(flags, machine, plan);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return plan.fits ? kExitOk : kExitMemory;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<PlanFlags>();
  flags->model.log_level = "warn";
  CLI::App* command = app.add_subcommand(
      "plan", "What a model takes of a machine's memory, without that machine and without reading weights");
  std::string names;
  for (const Card& card : cards()) names += fmt::format("{}{}", names.empty() ? "" : ", ", card.name);
  command->add_option("--gpu", flags->gpu, "A card: " + names + "; without it: this machine")
      ->group(kMachineGroup);
  command->add_option("--gpu-memory", flags->gpu_memory, "A card of so much memory, as 80GiB")
      ->group(kMachineGroup);
  command->add_flag("--json", flags->json, "One JSON object in place of the lines")->group(kMachineGroup);
  add_model_flags(*command, flags->model);
  command->footer("Exit codes: 0 it fits; 3 it does not; 2 wrong flags or model.");
  command->callback([flags, &exit_code] {
    const Result<int> result = plan(*flags);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace pegainfer::apps
