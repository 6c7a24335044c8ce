#include "apps/model_flags.h"

#include <CLI/CLI.hpp>
#include <limits>

#include "apps/human_number.h"
#include "base/log.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kModelGroup = "Model";
constexpr const char* kMemoryGroup = "Memory and batching";

Result<int64_t> number_or_auto(const std::string& text, const char* flag) {
  if (text == "auto" || text == "-1") return int64_t{0};
  ASSIGN_OR_RETURN(const int64_t number, parse_human_number(text, flag));
  if (number >= 1) return number;
  return invalid_argument(std::string(flag) + " " + text + ": it must be at least 1, or auto", flag);
}

Result<LogLevel> parse_log_level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn" || name == "warning") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return invalid_argument("--log-level " + name + ": it must be debug, info, warn or error", "--log-level");
}

void add_queue_flags(CLI::App& command, ModelFlags& flags) {
  EngineOptions& e = flags.engine;
  command
      .add_option("--max-queued-requests,--max-num-queued-reqs", e.max_queued_requests,
                  "Requests that may wait for others to end; one more is refused. 0: no limit")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--max-queued-tokens,--max-num-queued-tokens", e.max_queued_tokens,
                  "Prompt tokens of the requests that may wait. 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_flag("--enable-prefix-caching,!--no-enable-prefix-caching,!--disable-radix-cache",
                e.enable_prefix_caching,
                "Keep the KV of prompts and answers, so that a prompt which begins alike computes only the "
                "rest (on)")
      ->default_str("true")
      ->group(kMemoryGroup);
  command
      .add_flag_function(
          "--async-scheduling,!--no-async-scheduling",
          [&flags](int64_t count) { flags.async_scheduling = count > 0; },  // not given: not called
          "Plan a step while the one before is computed (default: where it pays, on GPUs)")
      ->default_str("auto")
      ->group(kMemoryGroup);
}

}  // namespace

void add_model_flags(CLI::App& command, ModelFlags& flags) {
  EngineOptions& e = flags.engine;
  const char* names = flags.positional_model ? "MODEL,-m,--model,--model-path" : "-m,--model,--model-path";
  command
      .add_option(names, e.model,
                  "A folder, a .gguf file, or a hub name (org/name) that is in the local Hugging Face cache")
      ->required()
      ->group(kModelGroup);
  command
      .add_option("--load-format", e.load_format,
                  "auto; or dummy: made-up weights of --seed, for which config.json suffices")
      ->capture_default_str()
      ->group(kModelGroup);
  command.add_option("--device", e.device, "auto, cpu, cuda or cuda:<index>")
      ->capture_default_str()
      ->group(kModelGroup);
  command.add_option("--dtype", e.dtype, "The arithmetic: auto, bfloat16 or float32")
      ->capture_default_str()
      ->group(kModelGroup);
  command.add_option("-t,--threads", e.threads, "CPU threads; 0: one for each physical core")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str()
      ->group(kModelGroup);
  command
      .add_option("-c,--max-model-len,--context-length", flags.max_model_len,
                  "Longest prompt and completion together: tokens, as 4096, 32k or 32K; auto: what the model "
                  "was made for, or what fits")
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--kv-cache-dtype", e.kv_cache_dtype, "auto (that of the arithmetic), bfloat16 or float32")
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--kv-cache-memory-bytes", flags.kv_cache_memory,
                  "Memory of the KV cache: bytes, as 2G or 512M; auto: from what is available")
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--gpu-memory-utilization", e.gpu_memory_utilization,
                  "Share of the memory that pegainfer may fill, above 0 to 1; 0: chosen for you")
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--num-gpu-blocks-override,--num-kv-blocks", e.num_kv_blocks,
                  "So many blocks of KV cache, whatever memory would allow; 0: as many as fit")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str()
      ->group(kMemoryGroup);
  command.add_option("--block-size", e.block_size, "Tokens in a block of the KV cache")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--max-num-seqs", e.max_num_seqs, "Requests that run at the same time; 0: chosen for you")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->group(kMemoryGroup);
  command
      .add_option("--max-num-batched-tokens", e.max_num_batched_tokens,
                  "Tokens in one step; 0: chosen for you")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str()
      ->group(kMemoryGroup);
  add_queue_flags(command, flags);
  command
      .add_flag("--enforce-eager", e.enforce_eager, "GPU: launch every kernel by itself, no captured graphs")
      ->group(kMemoryGroup);
  command.add_flag("--check-ops", e.check_ops, "Check every operation's arguments (slower)")->group("");
  command.add_option("--log-level", flags.log_level, "debug, info, warn or error")
      ->capture_default_str()
      ->group("Logs");
}

Result<EngineOptions> to_engine_options(const ModelFlags& flags) {
  ASSIGN_OR_RETURN(const LogLevel level, parse_log_level(flags.log_level));
  set_log_level(level);
  EngineOptions options = flags.engine;
  ASSIGN_OR_RETURN(const int64_t length, number_or_auto(flags.max_model_len, "--max-model-len"));
  if (length > std::numeric_limits<int>::max())
    return invalid_argument("--max-model-len " + flags.max_model_len + ": too large", "--max-model-len");
  options.max_model_len = static_cast<int>(length);
  ASSIGN_OR_RETURN(const int64_t bytes, number_or_auto(flags.kv_cache_memory, "--kv-cache-memory-bytes"));
  options.kv_cache_memory_bytes = static_cast<size_t>(bytes);
  options.async_scheduling = flags.async_scheduling;
  return options;
}

}  // namespace pegainfer::apps
