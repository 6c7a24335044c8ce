#include "sim/profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "base/file.h"
#include "base/json.h"

namespace pegainfer::sim {
namespace {

constexpr uint64_t kMaxProfileBytes = 1U << 20U;

struct NumberField {
  std::string_view name;
  double SimProfile::*field;
};
constexpr std::array kNumbers = std::to_array<NumberField>({
    {"weights_bytes", &SimProfile::weights_bytes},
    {"flops_per_token", &SimProfile::flops_per_token},
    {"flops_per_sample", &SimProfile::flops_per_sample},
    {"peak_flops", &SimProfile::peak_flops},
    {"kv_bytes_per_token", &SimProfile::kv_bytes_per_token},
    {"attention_flops_per_pair", &SimProfile::attention_flops_per_pair},
    {"attention_peak_flops", &SimProfile::attention_peak_flops},
    {"bandwidth", &SimProfile::bandwidth},
    {"overlap", &SimProfile::overlap},
    {"step_overhead_s", &SimProfile::step_overhead_s},
    {"seq_overhead_s", &SimProfile::seq_overhead_s},
});
struct CountField {
  std::string_view name;
  int SimProfile::*field;
  int least;
};
constexpr std::array kCounts = std::to_array<CountField>({
    {"vocab_size", &SimProfile::vocab_size, 1},
    {"max_model_len", &SimProfile::max_model_len, 1},
    {"num_kv_blocks", &SimProfile::num_kv_blocks, 2},
    {"block_size", &SimProfile::block_size, 1},
});

double ratio(double amount, double rate) { return rate > 0 ? amount / rate : 0; }

double combine(double moving, double computing, double overlap) {
  return std::max(moving, computing) + (1 - overlap) * std::min(moving, computing);
}

// No time at all, and room for load tests.
SimProfile instant() {
  SimProfile p;
  p.name = "instant";
  p.num_kv_blocks = 65'536;
  return p;
}

// One H100 80GB HBM3: a chain of matrix-vector kernels over these matrices read 2,800 GB/s, products of 2,048
// tokens reached 654 TFLOP/s; attention as FlashAttention 3 publishes it for 1k (423 TFLOP/s, head dimension
// 128, causal). 36 layers, 32 query and 8 KV heads of 128. The overhead (norms, sampling, kernel boundaries
// beyond those measured) is an estimate. KV: what 0.9 of the memory leaves.
SimProfile h100_qwen3_4b() {
  SimProfile p;
  p.name = "h100-qwen3-4b";
  p.weights_bytes = 8.045e9;
  p.flops_per_token = 7.27e9;
  p.flops_per_sample = 0.778e9;
  p.peak_flops = 654e12;
  p.kv_bytes_per_token = 147'456;
  p.attention_flops_per_pair = 589'824;
  p.attention_peak_flops = 423e12;
  p.bandwidth = 2.8e12;
  p.step_overhead_s = 150e-6;
  p.vocab_size = 151'936;
  p.max_model_len = 40'960;
  p.num_kv_blocks = 26'000;
  return p;
}

// The same chip with 141 GB at 4.35 TB/s read, of which the same share (0.908) is taken as reached.
SimProfile h200_qwen3_4b() {
  SimProfile p = h100_qwen3_4b();
  p.name = "h200-qwen3-4b";
  p.bandwidth = 3.95e12;
  p.num_kv_blocks = 49'500;
  return p;
}

// SmolLM2-135M-Instruct, Q4_1 layers and Q8_0 head, on two cores of an AMD EPYC (Zen 5): sizes from the file,
// rates fitted to measured batches while the machine was shared (docs/performance/sim.md).
SimProfile cpu_smollm2() {
  SimProfile p;
  p.name = "cpu-smollm2";
  p.weights_bytes = 96.6e6;
  p.flops_per_token = 212e6;
  p.flops_per_sample = 56.6e6;
  p.peak_flops = 337e9;
  p.kv_bytes_per_token = 23'040;
  p.attention_flops_per_pair = 69'120;
  p.attention_peak_flops = 212e9;
  p.bandwidth = 30.9e9;
  p.overlap = 0.943;
  p.step_overhead_s = 2.01e-3;
  p.seq_overhead_s = 140e-6;
  p.vocab_size = 49'152;
  p.max_model_len = 8'192;
  p.num_kv_blocks = 8'192;
  return p;
}

Status read_numbers(const json::Object& object, SimProfile& profile, const std::string& source) {
  for (const NumberField& f : kNumbers) {
    ASSIGN_OR_RETURN(const double value, json::get_number(object, f.name, profile.*f.field));
    if (!(value >= 0) || !std::isfinite(value))
      return invalid_argument(fmt::format("{}: {} is {}; it must not be negative", source, f.name, value));
    profile.*f.field = value;
  }
  if (profile.overlap > 1)
    return invalid_argument(fmt::format("{}: overlap is {}; it must be 0 to 1", source, profile.overlap));
  for (const CountField& f : kCounts) {
    ASSIGN_OR_RETURN(const int64_t value, json::get_int(object, f.name, profile.*f.field));
    if (value < f.least || value > (int64_t{1} << 30U))
      return invalid_argument(
          fmt::format("{}: {} is {}; it must be {} to 2^30", source, f.name, value, f.least));
    profile.*f.field = static_cast<int>(value);
  }
  return ok_status();
}

// A misspelt field would silently be free.
Status check_names(const json::Object& object, const std::string& source) {
  for (const auto& entry : object) {
    const std::string_view key = entry.key();
    const bool known = key == "name" || key == "base" ||
                       std::ranges::any_of(kNumbers, [&](const auto& f) { return f.name == key; }) ||
                       std::ranges::any_of(kCounts, [&](const auto& f) { return f.name == key; });
    if (!known) return invalid_argument(fmt::format("{}: unknown field \"{}\"", source, key));
  }
  return ok_status();
}

const SimProfile* find_builtin(std::string_view name) {
  const auto it =
      std::ranges::find_if(builtin_profiles(), [&](const SimProfile& p) { return p.name == name; });
  return it == builtin_profiles().end() ? nullptr : &*it;
}

std::string builtin_names() {
  std::string names;
  for (const SimProfile& p : builtin_profiles()) names += (names.empty() ? "" : ", ") + p.name;
  return names;
}

}  // namespace

StepWork work_of(const StepPlan& plan) {
  StepWork work;
  work.num_seqs = static_cast<int64_t>(plan.seqs.size());
  for (const ScheduledSeq& seq : plan.seqs) {
    const int64_t n = seq.num_tokens;
    const int64_t computed = seq.num_computed_tokens;
    work.num_tokens += n;
    work.num_samples += (seq.sample ? 1 : 0) + seq.num_targets;
    work.kv_tokens += computed + n;
    work.attention_pairs += n * computed + n * (n + 1) / 2;
  }
  return work;
}

double step_seconds(const SimProfile& p, const StepWork& work) {
  const auto tokens = static_cast<double>(work.num_tokens);
  const auto samples = static_cast<double>(work.num_samples);
  const double linear =
      combine(ratio(p.weights_bytes, p.bandwidth),
              ratio(p.flops_per_token * tokens + p.flops_per_sample * samples, p.peak_flops), p.overlap);
  const double attention = combine(
      ratio(p.kv_bytes_per_token * static_cast<double>(work.kv_tokens), p.bandwidth),
      ratio(p.attention_flops_per_pair * static_cast<double>(work.attention_pairs), p.attention_peak_flops),
      p.overlap);
  return linear + attention + p.step_overhead_s + p.seq_overhead_s * static_cast<double>(work.num_seqs);
}

const std::vector<SimProfile>& builtin_profiles() {
  static const std::vector<SimProfile> profiles{instant(), h100_qwen3_4b(), h200_qwen3_4b(), cpu_smollm2()};
  return profiles;
}

Result<SimProfile> parse_profile(const std::string& json_text, const std::string& source) {
  auto value = json::parse(json_text);
  if (!value) return invalid_argument(fmt::format("{}: {}", source, value.error().message));
  const json::Object* object = value->if_object();
  if (object == nullptr) return invalid_argument(source + ": a profile is a JSON object");
  RETURN_IF_ERROR(check_names(*object, source));
  ASSIGN_OR_RETURN(const std::string base, json::get_string(*object, "base", ""));
  SimProfile profile;
  if (!base.empty()) {
    const SimProfile* found = find_builtin(base);
    if (found == nullptr)
      return invalid_argument(fmt::format("{}: base \"{}\" is none of {}", source, base, builtin_names()));
    profile = *found;
  }
  ASSIGN_OR_RETURN(profile.name, json::get_string(*object, "name", source));
  RETURN_IF_ERROR(read_numbers(*object, profile, source));
  return profile;
}

Result<SimProfile> find_profile(const std::string& name_or_path) {
  if (const SimProfile* found = find_builtin(name_or_path)) return *found;
  auto text = read_text_file(name_or_path, kMaxProfileBytes);
  if (!text)
    return invalid_argument(fmt::format("profile {}: neither one of {} nor a file that can be read ({})",
                                        name_or_path, builtin_names(), text.error().message),
                            "--profile");
  return parse_profile(*text, name_or_path);
}

}  // namespace pegainfer::sim
