// GGUF metadata -> ModelConfig. Every key under the architecture's own prefix must be known: one that is not
// could change the result.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "checkpoint/config.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

struct ArchitectureEntry {
  std::string_view name;
  Architecture architecture;
};

constexpr std::array<ArchitectureEntry, 3> kArchitectures{{
    {"llama", Architecture::kLlama},  // Mistral as well
    {"qwen2", Architecture::kQwen2},
    {"qwen3", Architecture::kQwen3},
}};

// Keys below "<architecture>." that are read here, or that say nothing about the result.
constexpr std::array<std::string_view, 31> kKnownKeys{
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "tensor_data_layout",
    "use_parallel_residual",
    "expert_count",
    "expert_used_count",
    "pooling_type",
    "attention.causal",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
};

// Keys that must hold this number when they are there.
struct FixedKey {
  std::string_view name;
  double value;
};
constexpr std::array<FixedKey, 6> kFixedKeys{{
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"pooling_type", 0},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"rope.scaling.yarn_ext_factor", 1},
}};

class Reader {
 public:
  Reader(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  [[nodiscard]] const std::string& path() const { return metadata_.path(); }
  [[nodiscard]] const GgufMetadata& metadata() const { return metadata_; }

  [[nodiscard]] Error error(std::string_view name, std::string_view what) const {
    return invalid_argument(fmt::format("{}: {} {}", path(), key(name), what), key(name));
  }
  [[nodiscard]] Error unsupported(std::string_view name, std::string_view what) const {
    return pegainfer::unsupported(fmt::format("{}: {} {}", path(), key(name), what), key(name));
  }

  [[nodiscard]] Result<std::optional<int>> integer(std::string_view name) const {
    ASSIGN_OR_RETURN(const std::optional<int64_t> v, metadata_.integer(key(name)));
    if (!v) return std::optional<int>();
    if (*v < 0 || *v > std::numeric_limits<int>::max()) {
      return error(name, fmt::format("is {}, which is out of range", *v));
    }
    return std::optional<int>(static_cast<int>(*v));
  }
  [[nodiscard]] Result<int> required(std::string_view name) const {
    ASSIGN_OR_RETURN(const std::optional<int> v, integer(name));
    if (!v) return error(name, "is missing, expected an integer");
    return *v;
  }
  // One number, or one per layer that are all the same.
  [[nodiscard]] Result<std::optional<int>> per_layer(std::string_view name) const {
    const GgufValue* value = metadata_.find(key(name));
    if (value == nullptr || !std::holds_alternative<GgufNumbers>(*value)) return integer(name);
    const auto& list = std::get<GgufNumbers>(*value);
    for (size_t i = 0; i < list.size(); ++i) {
      if (list.number(i) == list.number(0)) continue;
      return unsupported(name, "differs between layers, which is not supported");
    }
    const double v = list.size() == 0 ? -1 : list.number(0);
    if (!(v >= 0 && v <= std::numeric_limits<int>::max()) || v != std::floor(v)) {
      return error(name, "is not a list of integers from 0");
    }
    return std::optional<int>(static_cast<int>(v));
  }
  [[nodiscard]] Result<double> number(std::string_view name, double otherwise) const {
    ASSIGN_OR_RETURN(const std::optional<double> v, metadata_.number(key(name)));
    return v.value_or(otherwise);
  }

  [[nodiscard]] Status check_keys() const {
    for (const auto& [full, value] : metadata_.entries()) {
      if (!full.starts_with(prefix_)) continue;
      const std::string_view name = std::string_view(full).substr(prefix_.size());
      if (std::find(kKnownKeys.begin(), kKnownKeys.end(), name) == kKnownKeys.end()) {
        return unsupported(name, "is not supported");
      }
    }
    for (const FixedKey& fixed : kFixedKeys) {
      ASSIGN_OR_RETURN(const double v, number(fixed.name, fixed.value));
      // llama.cpp writes -1 for "the usual" extrapolation factor.
      if (v == fixed.value || (fixed.value == 1 && v < 0)) continue;
      return unsupported(fixed.name, fmt::format("is {}, supported is {}", v, fixed.value));
    }
    ASSIGN_OR_RETURN(const std::optional<bool> causal, metadata_.boolean(key("attention.causal")));
    if (!causal.value_or(true)) return unsupported("attention.causal", "is false, supported is true");
    ASSIGN_OR_RETURN(const std::optional<bool> parallel, metadata_.boolean(key("use_parallel_residual")));
    if (parallel.value_or(false)) return unsupported("use_parallel_residual", "is true, supported is false");
    return ok_status();
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

Status read_dimensions(const Reader& r, const TensorSource& tensors, ModelConfig& c) {
  ASSIGN_OR_RETURN(c.num_layers, r.required("block_count"));
  ASSIGN_OR_RETURN(c.hidden_size, r.required("embedding_length"));
  ASSIGN_OR_RETURN(c.max_position_embeddings, r.required("context_length"));
  ASSIGN_OR_RETURN(const std::optional<int> ffn, r.per_layer("feed_forward_length"));
  ASSIGN_OR_RETURN(const std::optional<int> heads, r.per_layer("attention.head_count"));
  ASSIGN_OR_RETURN(const std::optional<int> kv_heads, r.per_layer("attention.head_count_kv"));
  if (!ffn) return r.error("feed_forward_length", "is missing, expected an integer");
  if (!heads || *heads < 1) return r.error("attention.head_count", "is missing or 0, expected 1 or more");
  c.intermediate_size = *ffn;
  c.num_heads = *heads;
  c.num_kv_heads = kv_heads.value_or(*heads);

  ASSIGN_OR_RETURN(const std::optional<int> key_length, r.integer("attention.key_length"));
  if (!key_length && c.hidden_size % c.num_heads != 0) {
    return r.error("embedding_length", fmt::format("is {}, not a multiple of attention.head_count, {}, and "
                                                   "attention.key_length is missing",
                                                   c.hidden_size, c.num_heads));
  }
  c.head_dim = key_length.value_or(c.hidden_size / c.num_heads);
  for (const std::string_view name : {"attention.value_length", "rope.dimension_count"}) {
    ASSIGN_OR_RETURN(const std::optional<int> v, r.integer(name));
    if (v && *v != c.head_dim) {
      return r.unsupported(name, fmt::format("is {}, supported is the length of a head, {}", *v, c.head_dim));
    }
  }
  ASSIGN_OR_RETURN(const std::optional<double> eps,
                   r.metadata().number(r.key("attention.layer_norm_rms_epsilon")));
  if (!eps) return r.error("attention.layer_norm_rms_epsilon", "is missing, expected a number");
  c.rms_norm_eps = static_cast<float>(*eps);

  const TensorInfo* embedding = tensors.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    return invalid_argument(
        fmt::format("{}: tensor \"token_embd.weight\" is missing or not a matrix", r.path()));
  }
  if (embedding->shape[0] > std::numeric_limits<int>::max()) {
    return invalid_argument(fmt::format("{}: tensor \"token_embd.weight\" has {} rows, which is out of range",
                                        r.path(), embedding->shape[0]));
  }
  c.vocab_size = static_cast<int>(embedding->shape[0]);
  ASSIGN_OR_RETURN(const std::optional<int> vocab_size, r.integer("vocab_size"));
  if (vocab_size && *vocab_size != c.vocab_size) {
    return r.error("vocab_size", fmt::format("is {}, but tensor \"token_embd.weight\" has {} rows",
                                             *vocab_size, c.vocab_size));
  }
  return ok_status();
}

Status read_rope(const Reader& r, const TensorSource& tensors, ModelConfig& c) {
  RopeConfig& rope = c.rope;
  ASSIGN_OR_RETURN(rope.theta, r.number("rope.freq_base", 10000.0));
  ASSIGN_OR_RETURN(const double scale_linear, r.number("rope.scale_linear", 1.0));
  ASSIGN_OR_RETURN(const double factor, r.number("rope.scaling.factor", scale_linear));
  ASSIGN_OR_RETURN(const double attn_factor, r.number("rope.scaling.attn_factor", 1.0));
  ASSIGN_OR_RETURN(const double yarn_attn_factor, r.number("rope.scaling.yarn_attn_factor", 1.0));
  ASSIGN_OR_RETURN(const std::optional<std::string> said, r.metadata().text(r.key("rope.scaling.type")));
  const std::string type = said.value_or("linear");  // the format's default, which a factor of 1 turns off
  if (type == "yarn") {
    rope.type = RopeType::kYarn;
    rope.factor = factor;
    ASSIGN_OR_RETURN(rope.beta_fast, r.number("rope.scaling.yarn_beta_fast", 32));
    ASSIGN_OR_RETURN(rope.beta_slow, r.number("rope.scaling.yarn_beta_slow", 1));
    ASSIGN_OR_RETURN(const std::optional<int> original, r.integer("rope.scaling.original_context_length"));
    rope.original_max_position_embeddings = original.value_or(c.max_position_embeddings);
    if (rope.original_max_position_embeddings < 1) {
      return r.error("rope.scaling.original_context_length", "is 0, expected 1 or more");
    }
    // Here the factor multiplies YaRN's own; in RopeConfig it replaces it.
    const double own = factor > 1 ? 0.1 * std::log(factor) + 1.0 : 1.0;
    if (attn_factor * yarn_attn_factor != 1.0) rope.attention_factor = attn_factor * yarn_attn_factor * own;
  } else if (type == "linear" || type == "none") {
    if (type == "linear" && factor != 1.0 && factor != 0.0) {
      rope.type = RopeType::kLinear;
      rope.factor = factor;
    }
    if (attn_factor != 1.0) {
      return r.unsupported("rope.scaling.attn_factor",
                           fmt::format("is {} without YaRN, supported is 1", attn_factor));
    }
  } else {
    return r.unsupported("rope.scaling.type",
                         fmt::format("is {}; supported are none, linear and yarn", quote_name(type)));
  }
  for (const std::string_view name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
    if (tensors.find(name) == nullptr) continue;
    return pegainfer::unsupported(
        fmt::format("{}: tensor \"{}\": longrope is not supported", r.path(), name));
  }
  return ok_status();
}

// Llama 3.1's frequency scaling comes as a tensor of divisors, one per pair of dimensions.
Status read_freq_factors(const Reader& r, const TensorSource& tensors, ModelConfig& c) {
  const TensorInfo* tensor = tensors.find("rope_freqs.weight");
  if (tensor == nullptr) return ok_status();
  const std::vector<int64_t> expected{c.head_dim / 2};
  if (!tensor->supported || tensor->format != WeightFormat::kF32 || tensor->shape != expected) {
    return invalid_argument(
        fmt::format("{}: tensor \"rope_freqs.weight\" is {} of {} bytes, expected F32 [{}]", r.path(),
                    tensor->dtype_name, tensor->bytes, expected[0]));
  }
  c.rope.freq_factors.resize(static_cast<size_t>(expected[0]));
  RETURN_IF_ERROR(tensors.read(*tensor, 0, std::as_writable_bytes(std::span(c.rope.freq_factors))));
  for (const float f : c.rope.freq_factors) {
    if (std::isfinite(f) && f > 0) continue;
    return invalid_argument(
        fmt::format("{}: tensor \"rope_freqs.weight\" holds {}, expected positive numbers", r.path(), f));
  }
  return ok_status();
}

void read_from_tensors(const TensorSource& tensors, ModelConfig& c) {
  const auto has = [&](std::string_view name) { return tensors.find(name) != nullptr; };
  c.tie_word_embeddings = !has("output.weight");
  c.attention_bias = c.architecture == Architecture::kQwen2 || has("blk.0.attn_q.bias");
  c.attention_output_bias = has("blk.0.attn_output.bias");
  c.mlp_bias = has("blk.0.ffn_gate.bias") || has("blk.0.ffn_up.bias") || has("blk.0.ffn_down.bias");
}

Status read_token_ids(const GgufMetadata& m, ModelConfig& c) {
  const auto read = [&](std::string_view key, std::vector<TokenId>& out) -> Status {
    ASSIGN_OR_RETURN(const std::optional<int64_t> v, m.integer(key));
    if (!v || *v == std::numeric_limits<uint32_t>::max()) return ok_status();  // an unsigned -1: none
    if (*v < 0 || *v >= c.vocab_size) {
      return invalid_argument(
          fmt::format("{}: {} is {}, expected 0 to {}", m.path(), key, *v, c.vocab_size - 1));
    }
    out.push_back(static_cast<TokenId>(*v));
    return ok_status();
  };
  RETURN_IF_ERROR(read("tokenizer.ggml.bos_token_id", c.bos_token_ids));
  for (const std::string_view key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    RETURN_IF_ERROR(read(key, c.eos_token_ids));
  }
  return ok_status();
}

Result<ArchitectureEntry> find_architecture(const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const std::optional<std::string> name, metadata.text("general.architecture"));
  std::string all;
  for (const ArchitectureEntry& entry : kArchitectures) {
    if (name && entry.name == *name) return entry;
    all += all.empty() ? "" : ", ";
    all += entry.name;
  }
  if (!name) {
    return invalid_argument(fmt::format("{}: \"general.architecture\" is missing; supported in GGUF are {}",
                                        metadata.path(), all));
  }
  return unsupported(fmt::format("{}: architecture {} is not supported; supported in GGUF are {}",
                                 metadata.path(), quote_name(*name), all));
}

Status refuse_split(const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> count, metadata.integer("split.count"));
  if (!count || *count <= 1) return ok_status();
  return unsupported(
      fmt::format("{}: one of {} parts of a split GGUF file; merge them first "
                  "(llama-gguf-split --merge)",
                  metadata.path(), *count));
}

}  // namespace

Result<ModelConfig> parse_gguf_config(const GgufMetadata& metadata, const TensorSource& tensors) {
  RETURN_IF_ERROR(refuse_split(metadata));
  ASSIGN_OR_RETURN(const ArchitectureEntry entry, find_architecture(metadata));
  const Reader r(metadata, entry.name);
  RETURN_IF_ERROR(r.check_keys());
  ModelConfig c;
  c.architecture = entry.architecture;
  c.architecture_name = entry.name;
  c.gguf_rope_permuted = entry.architecture == Architecture::kLlama;
  c.qk_norm = entry.architecture == Architecture::kQwen3;
  RETURN_IF_ERROR(read_dimensions(r, tensors, c));
  RETURN_IF_ERROR(read_rope(r, tensors, c));
  ASSIGN_OR_RETURN(const std::optional<int> window, r.integer("attention.sliding_window"));
  c.sliding_window = window.value_or(0);
  read_from_tensors(tensors, c);
  RETURN_IF_ERROR(read_token_ids(metadata, c));
  ASSIGN_OR_RETURN(const std::optional<int64_t> file_type, metadata.integer("general.file_type"));
  if (file_type == 0) c.torch_dtype = "float32";
  if (file_type == 1) c.torch_dtype = "float16";
  if (file_type == 32) c.torch_dtype = "bfloat16";
  RETURN_IF_ERROR(validate_config(c, metadata.path()));
  RETURN_IF_ERROR(read_freq_factors(r, tensors, c));
  return c;
}

}  // namespace pegainfer
