#include "apps/flags/foreign_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

using Takes = ForeignFlag::Takes;
using Verdict = ForeignFlag::Verdict;

// Only what means the same. Where a command has no such flag the line is without effect.
constexpr std::pair<std::string_view, std::string_view> kOtherSpellings[] = {
    {"--model-path", "--model"},
    {"--model-id", "--model"},
    {"-hf", "--model"},
    {"-hfr", "--model"},
    {"--hf-repo", "--model"},
    {"--context-length", "--max-model-len"},
    {"--ctx-size", "--max-model-len"},
    {"--max-running-requests", "--max-num-seqs"},
    {"--parallel", "--max-num-seqs"},
    {"-np", "--max-num-seqs"},
    {"--chunked-prefill-size", "--max-num-batched-tokens"},
    {"--batch-size", "--max-num-batched-tokens"},
    {"-b", "--max-num-batched-tokens"},
    {"--mem-fraction-static", "--gpu-memory-utilization"},
    {"--cuda-memory-fraction", "--gpu-memory-utilization"},
    {"--max-num-queued-reqs", "--max-queued-requests"},
    {"--max-num-queued-tokens", "--max-queued-tokens"},
    {"--random-seed", "--seed"},
    {"-s", "--seed"},
    {"--disable-radix-cache", "--no-enable-prefix-caching"},
    {"--cache-prompt", "--enable-prefix-caching"},
    {"--no-cache-prompt", "--no-enable-prefix-caching"},
    {"--page-size", "--block-size"},
    {"--disable-cuda-graph", "--enforce-eager"},
    {"--alias", "--served-model-name"},
    {"--hostname", "--host"},
    {"--ssl-key-file", "--ssl-keyfile"},
    {"--ssl-cert-file", "--ssl-certfile"},
    {"--chat-template-file", "--chat-template"},
    {"--chat-template-kwargs", "--default-chat-template-kwargs"},
    {"--graceful-termination-timeout", "--shutdown-timeout"},
    {"--otlp-endpoint", "--otlp-traces-endpoint"},
    {"--uvicorn-log-level", "--log-level"},
    {"--disable-uvicorn-access-log", "--disable-access-log"},
    {"--log-json", "--log-format=json"},
    {"--log-jsonl", "--log-format=json"},
    {"--json-output", "--log-format=json"},
    {"--verbose", "--log-level=debug"},
    {"--n-predict", "--max-tokens"},
    {"--predict", "--max-tokens"},
};

constexpr std::string_view kOneDevice = "one device serves one model: choose it with --device cuda:N";
constexpr std::string_view kNoLora = "adapters are not supported: merge them into the weights";
constexpr std::string_view kNoSpeculation = "speculative decoding is not supported";
constexpr std::string_view kAlwaysMetrics = "/metrics is always there";
constexpr std::string_view kOneWay = "there is one implementation for each device";
constexpr std::string_view kNoPrompts = "requests are never logged with their text; see --disable-access-log";
constexpr std::string_view kCpuMemory = "weights are not offloaded: `pegainfer plan` shows what fits";
constexpr std::string_view kOneTask = "only text generation is served";

constexpr ForeignFlag kForeign[] = {
    {"--trust-remote-code", Takes::kNothing, Verdict::kIgnored, "no code of a model is ever run"},
    {"--disable-log-requests", Takes::kNothing, Verdict::kIgnored, kNoPrompts},
    {"--enable-log-requests", Takes::kNothing, Verdict::kIgnored, kNoPrompts},
    {"--no-enable-log-requests", Takes::kNothing, Verdict::kIgnored, kNoPrompts},
    {"--max-log-len", Takes::kValue, Verdict::kIgnored, kNoPrompts},
    {"--enable-metrics", Takes::kNothing, Verdict::kIgnored, kAlwaysMetrics},
    {"--metrics", Takes::kNothing, Verdict::kIgnored, kAlwaysMetrics},
    {"--enable-cache-report", Takes::kNothing, Verdict::kIgnored, "usage always has cached_tokens"},
    {"--enable-prompt-tokens-details", Takes::kNothing, Verdict::kIgnored, "usage always has cached_tokens"},
    {"--enable-chunked-prefill", Takes::kNothing, Verdict::kIgnored,
     "long prompts are always split into steps"},
    {"--no-enable-chunked-prefill", Takes::kNothing, Verdict::kIgnored,
     "long prompts are always split into steps"},
    {"--enable-server-load-tracking", Takes::kNothing, Verdict::kIgnored, kAlwaysMetrics},
    {"--cont-batching", Takes::kNothing, Verdict::kIgnored, "batching is always continuous"},
    {"-cb", Takes::kNothing, Verdict::kIgnored, "batching is always continuous"},
    {"--no-webui", Takes::kNothing, Verdict::kIgnored, "there is no web page to leave out"},
    {"--no-ui", Takes::kNothing, Verdict::kIgnored, "there is no web page to leave out"},
    {"--mlock", Takes::kNothing, Verdict::kIgnored, "weights are packed into memory of their own"},
    {"--mmap", Takes::kNothing, Verdict::kIgnored, "weights are packed into memory of their own"},
    {"--no-mmap", Takes::kNothing, Verdict::kIgnored, "weights are packed into memory of their own"},
    {"--warmup", Takes::kNothing, Verdict::kIgnored, "what has to be warm is, before /readyz says so"},
    {"--no-warmup", Takes::kNothing, Verdict::kIgnored, "what has to be warm is, before /readyz says so"},
    {"--slots", Takes::kNothing, Verdict::kIgnored, "/metrics has the figures"},
    {"--no-slots", Takes::kNothing, Verdict::kIgnored, "/metrics has the figures"},
    {"--props", Takes::kNothing, Verdict::kIgnored, "nothing of a running server can be changed"},
    {"--flash-attn", Takes::kSwitch, Verdict::kIgnored, kOneWay},
    {"-fa", Takes::kSwitch, Verdict::kIgnored, kOneWay},
    {"--attention-backend", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--sampling-backend", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--guided-decoding-backend", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--grammar-backend", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--enable-torch-compile", Takes::kNothing, Verdict::kIgnored, kOneWay},
    {"--compilation-config", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--tokenizer-mode", Takes::kValue, Verdict::kIgnored, kOneWay},
    {"--distributed-executor-backend", Takes::kValue, Verdict::kIgnored, kOneDevice},
    {"--worker-use-ray", Takes::kNothing, Verdict::kIgnored, kOneDevice},
    {"--disable-custom-all-reduce", Takes::kNothing, Verdict::kIgnored, kOneDevice},
    {"--schedule-policy", Takes::kValue, Verdict::kIgnored, "requests run by priority, then by arrival"},
    {"--scheduling-policy", Takes::kValue, Verdict::kIgnored, "requests run by priority, then by arrival"},
    {"--schedule-conservativeness", Takes::kValue, Verdict::kIgnored,
     "requests are preempted when memory runs out"},
    {"--n-gpu-layers", Takes::kValue, Verdict::kIgnored, "all layers are where --device says"},
    {"--gpu-layers", Takes::kValue, Verdict::kIgnored, "all layers are where --device says"},
    {"-ngl", Takes::kValue, Verdict::kIgnored, "all layers are where --device says"},
    {"--ubatch-size", Takes::kValue, Verdict::kIgnored, "--max-num-batched-tokens is the size of a step"},
    {"-ub", Takes::kValue, Verdict::kIgnored, "--max-num-batched-tokens is the size of a step"},
    {"--split-mode", Takes::kValue, Verdict::kIgnored, kOneDevice},
    {"-sm", Takes::kValue, Verdict::kIgnored, kOneDevice},
    {"--threads-http", Takes::kValue, Verdict::kIgnored, "one thread serves every connection"},
    {"--api-server-count", Takes::kValue, Verdict::kIgnored, "one thread serves every connection"},
    {"--response-role", Takes::kValue, Verdict::kIgnored, "answers have the role assistant"},
    {"--log-colors", Takes::kSwitch, Verdict::kIgnored, "lines have colours on a terminal only"},
    {"--limit-mm-per-prompt", Takes::kValue, Verdict::kIgnored, "only text is served"},
    {"--quantization", Takes::kValue, Verdict::kIgnored, "weights stay as the model's files hold them"},
    {"-q", Takes::kValue, Verdict::kIgnored, "weights stay as the model's files hold them"},
    {"--download-dir", Takes::kValue, Verdict::kIgnored,
     "models come from the local Hugging Face cache: set HF_HOME"},
    {"--swap-space", Takes::kValue, Verdict::kIgnored,
     "a preempted request is computed again, nothing is swapped"},
    {"--cpu-offload-gb", Takes::kValue, Verdict::kOnlyOne, kCpuMemory},
    {"--tensor-parallel-size", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--tp-size", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--tp", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"-tp", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--pipeline-parallel-size", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"-pp", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--data-parallel-size", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--dp-size", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"-dp", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--num-shard", Takes::kValue, Verdict::kOnlyOne, kOneDevice},
    {"--tensor-split", Takes::kValue, Verdict::kRefused, kOneDevice},
    {"-ts", Takes::kValue, Verdict::kRefused, kOneDevice},
    {"--main-gpu", Takes::kValue, Verdict::kRefused, kOneDevice},
    {"-mg", Takes::kValue, Verdict::kRefused, kOneDevice},
    {"--enable-lora", Takes::kNothing, Verdict::kRefused, kNoLora},
    {"--lora-modules", Takes::kValue, Verdict::kRefused, kNoLora},
    {"--lora-paths", Takes::kValue, Verdict::kRefused, kNoLora},
    {"--lora", Takes::kValue, Verdict::kRefused, kNoLora},
    {"--speculative-config", Takes::kValue, Verdict::kRefused, kNoSpeculation},
    {"--speculative-model", Takes::kValue, Verdict::kRefused, kNoSpeculation},
    {"--speculative-algorithm", Takes::kValue, Verdict::kRefused, kNoSpeculation},
    {"--model-draft", Takes::kValue, Verdict::kRefused, kNoSpeculation},
    {"-md", Takes::kValue, Verdict::kRefused, kNoSpeculation},
    {"--embedding", Takes::kNothing, Verdict::kRefused, kOneTask},
    {"--embeddings", Takes::kNothing, Verdict::kRefused, kOneTask},
    {"--is-embedding", Takes::kNothing, Verdict::kRefused, kOneTask},
    {"--reranking", Takes::kNothing, Verdict::kRefused, kOneTask},
    {"--pooling", Takes::kValue, Verdict::kRefused, kOneTask},
    {"--task", Takes::kValue, Verdict::kRefused, kOneTask},
    {"--mmproj", Takes::kValue, Verdict::kRefused, "only text is served"},
    {"--revision", Takes::kValue, Verdict::kRefused, "name the snapshot's folder as the model"},
    {"--tokenizer", Takes::kValue, Verdict::kRefused, "the tokenizer is that of the model's folder"},
    {"--tokenizer-path", Takes::kValue, Verdict::kRefused, "the tokenizer is that of the model's folder"},
    {"--skip-tokenizer-init", Takes::kNothing, Verdict::kRefused,
     "send and ask for token ids in the request"},
    {"--hf-overrides", Takes::kValue, Verdict::kRefused, "change config.json in a folder of your own"},
    {"--rope-scaling", Takes::kValue, Verdict::kRefused, "change config.json in a folder of your own"},
    {"--middleware", Takes::kValue, Verdict::kRefused, "put a proxy in front"},
    {"--root-path", Takes::kValue, Verdict::kRefused, "put a proxy in front that strips the prefix"},
    {"--api-prefix", Takes::kValue, Verdict::kRefused, "put a proxy in front that strips the prefix"},
    {"--max-total-tokens", Takes::kValue, Verdict::kRefused,
     "for the longest request use --max-model-len, for the size of the KV cache --kv-cache-memory-bytes or "
     "--num-gpu-blocks-override"},
    {"--max-concurrent-requests", Takes::kValue, Verdict::kRefused,
     "use --max-num-seqs for what runs and --max-queued-requests for what waits"},
    {"--max-prefill-tokens", Takes::kValue, Verdict::kRefused, "use --max-num-batched-tokens"},
    {"--max-batch-prefill-tokens", Takes::kValue, Verdict::kRefused, "use --max-num-batched-tokens"},
    {"--cache-type-k", Takes::kValue, Verdict::kRefused, "use --kv-cache-dtype"},
    {"--cache-type-v", Takes::kValue, Verdict::kRefused, "use --kv-cache-dtype"},
    {"-ctk", Takes::kValue, Verdict::kRefused, "use --kv-cache-dtype"},
    {"-ctv", Takes::kValue, Verdict::kRefused, "use --kv-cache-dtype"},
    {"--timeout", Takes::kValue, Verdict::kRefused,
     "use --request-timeout, or --write-stall-timeout for slow clients"},
    {"--watchdog-timeout", Takes::kValue, Verdict::kRefused, "use --engine-stall-timeout"},
    {"--reasoning-format", Takes::kValue, Verdict::kRefused, "use --reasoning-parser"},
};

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost one each.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> own_spelling(const CLI::App& command, std::string_view spelling) {
  if (find_option(command, spelling) != nullptr) return std::nullopt;
  std::string dashed(spelling);
  if (dashed.starts_with("--")) std::replace(dashed.begin() + 2, dashed.end(), '_', '-');
  for (const auto& [other, own] : kOtherSpellings) {
    if (other == dashed && find_option(command, own.substr(0, own.find('='))) != nullptr)
      return std::string(own);
  }
  return std::nullopt;
}

std::vector<std::string> other_spellings(const CLI::App& command, std::string_view own) {
  std::vector<std::string> out;
  for (const auto& [other, ours] : kOtherSpellings)
    if (ours == own && find_option(command, other) == nullptr) out.emplace_back(other);
  return out;
}

const ForeignFlag* find_foreign(std::string_view spelling) {
  std::string dashed(spelling);
  if (dashed.starts_with("--")) std::replace(dashed.begin() + 2, dashed.end(), '_', '-');
  for (const ForeignFlag& flag : kForeign)
    if (flag.name == dashed) return &flag;
  return nullptr;
}

bool is_switch_word(std::string_view word) {
  constexpr std::array<std::string_view, 7> kWords = {"on", "off", "auto", "0", "1", "true", "false"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, std::string>> near;
  const size_t enough = std::max<size_t>(2, word.size() / 4);
  for (const std::string& candidate : known) {
    if (candidate.size() < 4 && word.size() > candidate.size() + 1)
      continue;  // everything is near a short one
    size_t distance = edit_distance(word, candidate);
    const bool begins = word.size() > 5 && candidate.starts_with(word);
    if (begins) distance = std::min<size_t>(distance, 1);
    if (distance <= enough && distance < candidate.size() - 1) near.emplace_back(distance, candidate);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (const auto& [distance, candidate] : near) {
    if (out.size() == 3 || distance > near.front().first + 1) break;
    if (std::find(out.begin(), out.end(), candidate) == out.end()) out.push_back(candidate);
  }
  return out;
}

std::vector<std::string> known_spellings(const CLI::App& command) {
  std::vector<std::string> out = {"--help"};
  for (const CLI::Option* option : options_of(command, true))
    for (std::string& name : spellings(*option)) out.push_back(std::move(name));
  for (const auto& [other, own] : kOtherSpellings)
    if (own_spelling(command, other)) out.emplace_back(other);
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::vector<std::string> near = nearest(word, known);
  return near.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(near, " or "));
}

}  // namespace pegainfer::apps::flags
