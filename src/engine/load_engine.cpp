#include "engine/load_engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "engine/load_options.h"
#include "engine/load_tokenizer.h"
#include "tokenizer/byte_tokenizer.h"

namespace pegainfer {
namespace {

void log_generation_defaults(const GenerationDefaults& g) {
  std::string text;
  const auto add = [&text](const char* name, const auto& value) {
    if (value) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, *value);
  };
  add("temperature", g.temperature);
  add("top_p", g.top_p);
  add("top_k", g.top_k);
  add("min_p", g.min_p);
  add("repetition_penalty", g.repetition_penalty);
  if (!text.empty()) LOG_INFO("defaults of requests, by the model's generation_config: {}", text);
}

EngineInfo engine_info(const EngineOptions& options, const LoadedModel& model, const Checkpoint& checkpoint) {
  EngineInfo info;
  info.model_name =
      options.served_model_name.empty() ? default_model_name(options.model) : options.served_model_name;
  info.architecture = model.config.architecture_name;
  info.dtype = std::string(name_of(model.arithmetic));
  info.vocab_size = model.config.vocab_size;
  info.max_model_len = model.options.max_model_len;
  info.num_kv_blocks = model.options.num_blocks;
  info.block_size = model.options.block_size;
  info.eos_token_ids = checkpoint.eos_token_ids;
  return info;
}

void log_memory(const MemoryPlan& memory, int model_positions) {
  LOG_INFO("{}", memory.describe());
  if (memory.context_shortened)
    LOG_WARN("the model has {} positions, memory is enough for {}: --max-model-len is {}", model_positions,
             memory.max_model_len, memory.max_model_len);
}

}  // namespace

std::string default_model_name(const std::string& model) {
  std::error_code error;
  const bool is_path = model.ends_with(".gguf") || std::filesystem::exists(model, error);
  std::string name = model;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  if (is_path) name = name.substr(name.rfind('/') + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name.empty() ? "default" : name;
}

Result<LoadedEngine> load_engine(const EngineOptions& options, const EngineProgress& progress) {
  const Stopwatch watch;
  const auto report = [&](LoadPhase phase, uint64_t done, uint64_t total) {
    if (progress) progress({phase, done, total});
  };
  report(LoadPhase::kOpening, 0, 0);
  RETURN_IF_ERROR(check_options(options));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, open_checkpoint(options));
  const bool dummy = options.load_format == "dummy";
  const bool no_tokenizer = !checkpoint.gguf_vocab && checkpoint.tokenizer_json_path.empty();
  if (no_tokenizer && !dummy) return load_tokenizer(checkpoint).error();  // before anything takes time
  if (no_tokenizer)
    LOG_WARN("{} has no tokenizer.json: text is bytes, ids above 255 have none", checkpoint.directory);

  LoadedEngine out;
  ASSIGN_OR_RETURN(
      out.backend,
      create_backend({.device = options.device, .threads = options.threads, .check = options.check_ops}));
  LOG_INFO("{}", out.backend->description());
  // Beside the weights: parsing a large vocabulary takes as long as reading a small model.
  auto tokenizer = std::async(std::launch::async, [&]() -> Result<std::shared_ptr<const Tokenizer>> {
    if (no_tokenizer) return std::shared_ptr<const Tokenizer>(std::make_shared<ByteTokenizer>());
    return load_tokenizer(checkpoint);
  });
  ASSIGN_OR_RETURN(const LoadOptions load, to_load_options(options, *out.backend));
  ASSIGN_OR_RETURN(out.model, load_model(*out.backend, checkpoint, load, [&](uint64_t done, uint64_t total) {
                     report(LoadPhase::kWeights, done, total);
                   }));
  report(LoadPhase::kStarting, 0, 0);
  ASSIGN_OR_RETURN(out.tokenizer, tokenizer.get());
  if (out.tokenizer->vocab_size() > out.model.config.vocab_size)
    LOG_WARN("the tokenizer has {} ids, the model {}: requests with higher ones are refused",
             out.tokenizer->vocab_size(), out.model.config.vocab_size);
  out.generation = checkpoint.generation;
  out.chat_template = checkpoint.chat_template;
  out.tool_template = checkpoint.tool_template;
  out.special_tokens = checkpoint.special_tokens;
  out.memory = out.model.memory;
  out.engine =
      std::make_unique<LlmEngine>(LlmEngineOptions{.info = engine_info(options, out.model, checkpoint),
                                                   .max_num_seqs = load.max_num_seqs,
                                                   .max_num_batched_tokens = load.max_num_batched_tokens,
                                                   .max_queued_requests = options.max_queued_requests,
                                                   .max_queued_tokens = options.max_queued_tokens,
                                                   .enable_prefix_caching = options.enable_prefix_caching,
                                                   .observers = options.observers,
                                                   .seed = options.seed,
                                                   .on_dead = options.on_dead},
                                  std::move(out.model.runner));
  log_memory(out.memory, out.model.config.max_position_embeddings);
  log_generation_defaults(out.generation);
  out.load_seconds = watch.seconds();
  const EngineInfo& info = out.engine->info();
  LOG_INFO("loaded {} ({}, {}) in {:.2f} s", info.model_name, info.architecture, info.dtype,
           out.load_seconds);
  return out;
}

}  // namespace pegainfer
