// config.json -> ModelConfig. Defaults are those of transformers' configuration classes; where that library
// ignores a field we ignore it, and what it would compute and we cannot is an error.
#include <fmt/core.h>

#include <array>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "checkpoint/config.h"
#include "checkpoint/hf_json.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

struct ArchitectureEntry {
  std::string_view name;
  std::string_view model_type;
  Architecture architecture;
};

constexpr std::array<ArchitectureEntry, 4> kArchitectures{{
    {"Qwen3ForCausalLM", "qwen3", Architecture::kQwen3},
    {"Qwen2ForCausalLM", "qwen2", Architecture::kQwen2},
    {"LlamaForCausalLM", "llama", Architecture::kLlama},
    {"MistralForCausalLM", "mistral", Architecture::kMistral},
}};

// Fields that change what a model computes and that none of ours has. Each is fine when missing, null, false
// or the value that says "off".
struct ForeignField {
  std::string_view name;
  double off;  // false counts as 0
};

constexpr std::array<ForeignField, 37> kForeignFields{{
    {"partial_rotary_factor", 1},
    {"rotary_pct", 1},
    {"rope_pct", 1},
    {"attention_multiplier", 1},
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"logit_scale", 1},
    {"pretraining_tp", 1},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"query_pre_attn_scalar", 0},
    {"num_local_experts", 0},
    {"num_experts", 0},
    {"n_routed_experts", 0},
    {"n_shared_experts", 0},
    {"num_nextn_predict_layers", 0},
    {"kv_lora_rank", 0},
    {"q_lora_rank", 0},
    {"clip_qkv", 0},
    {"attention_chunk_size", 0},
    {"attn_temperature_tuning", 0},
    {"no_rope_layer_interval", 0},
    {"no_rope_layers", 0},
    {"rope_interleaved", 0},
    {"rope_interleave", 0},
    {"rope_local_base_freq", 0},
    {"alibi", 0},
    {"use_alibi", 0},
    {"use_mrope", 0},
    {"use_qk_norm", 0},
    {"use_parallel_residual", 0},
    {"parallel_attn", 0},
    {"add_cross_attention", 0},
    {"is_encoder_decoder", 0},
    {"quantization_config", 0},
    {"compression_config", 0},
}};

Status refuse_foreign_fields(const Fields& f) {
  for (const ForeignField& field : kForeignFields) {
    const json::Value* v = f.find(field.name);
    if (v == nullptr) continue;
    const bool off = (v->is_bool() && !v->get_bool() && field.off == 0) ||
                     (v->is_number() && v->to_number<double>() == field.off) ||
                     (v->is_array() && v->get_array().empty());
    if (off) continue;
    return f.unsupported(field.name, fmt::format("is {}, which is not supported", f.shown(*v)));
  }
  return ok_status();
}

Result<ArchitectureEntry> find_architecture(const Fields& f) {
  ASSIGN_OR_RETURN(const std::string model_type, f.text("model_type", ""));
  std::string name;
  if (const json::Value* list = f.find("architectures"); list != nullptr) {
    if (!list->is_array() || list->get_array().empty() || !list->get_array()[0].is_string()) {
      return f.error("architectures", fmt::format("is {}, expected a list of names", json::kind_name(*list)));
    }
    name = std::string(list->get_array()[0].get_string());
  }
  for (const ArchitectureEntry& entry : kArchitectures) {
    if (name.empty() ? entry.model_type != model_type : entry.name != name) continue;
    // transformers goes by model_type: where the two disagree it computes something else.
    if (!model_type.empty() && model_type != entry.model_type) {
      return f.unsupported("model_type", fmt::format("is {} beside architecture {}, expected \"{}\"",
                                                     quote_name(model_type), entry.name, entry.model_type));
    }
    return entry;
  }
  if (name.empty() && model_type.empty()) {
    return f.error("architectures", fmt::format("is missing; supported are {}", supported_architectures()));
  }
  return f.unsupported("architectures",
                       fmt::format("{} is not supported; supported are {}",
                                   quote_name(name.empty() ? model_type : name), supported_architectures()));
}

struct Defaults {
  int vocab_size, intermediate_size, kv_heads, max_position;
};

Defaults defaults_of(Architecture a) {
  switch (a) {
    case Architecture::kLlama: return {32000, 11008, 0, 2048};
    case Architecture::kMistral: return {32000, 14336, 8, 131072};
    case Architecture::kQwen2:
    case Architecture::kQwen3: return {151936, 22016, 32, 32768};
  }
  return {};
}

Status read_dimensions(const Fields& f, ModelConfig& c) {
  const Defaults d = defaults_of(c.architecture);
  ASSIGN_OR_RETURN(c.hidden_size, f.integer("hidden_size", 4096));
  ASSIGN_OR_RETURN(c.num_layers, f.integer("num_hidden_layers", 32));
  ASSIGN_OR_RETURN(c.num_heads, f.integer("num_attention_heads", 32));
  // Null means "as many as query heads", a missing field the class's default.
  const bool said_null = f.has("num_key_value_heads") && f.find("num_key_value_heads") == nullptr;
  const int kv_default = said_null || d.kv_heads == 0 ? c.num_heads : d.kv_heads;
  ASSIGN_OR_RETURN(c.num_kv_heads, f.integer("num_key_value_heads", kv_default));
  ASSIGN_OR_RETURN(c.intermediate_size, f.integer("intermediate_size", d.intermediate_size));
  ASSIGN_OR_RETURN(c.vocab_size, f.integer("vocab_size", d.vocab_size));
  ASSIGN_OR_RETURN(c.max_position_embeddings, f.integer("max_position_embeddings", d.max_position));
  ASSIGN_OR_RETURN(const double eps, f.number("rms_norm_eps", 1e-6));
  c.rms_norm_eps = static_cast<float>(eps);

  const bool qwen3_default = c.architecture == Architecture::kQwen3 && !f.has("head_dim");
  const bool derived = !qwen3_default && f.find("head_dim") == nullptr;
  if (derived && (c.num_heads < 1 || c.hidden_size % c.num_heads != 0)) {
    return f.error("hidden_size",
                   fmt::format("is {}, not a multiple of num_attention_heads, {}, and head_dim is missing",
                               c.hidden_size, c.num_heads));
  }
  ASSIGN_OR_RETURN(c.head_dim, f.integer("head_dim", qwen3_default ? 128
                                                     : derived     ? c.hidden_size / c.num_heads
                                                                   : 0));
  for (const std::string_view other : {"v_head_dim", "qk_rope_head_dim", "qk_nope_head_dim"}) {
    ASSIGN_OR_RETURN(const int value, f.integer(other, c.head_dim));
    if (value != c.head_dim)
      return f.unsupported(other, fmt::format("is {}, head_dim is {}", value, c.head_dim));
  }
  return ok_status();
}

Status read_biases(const Fields& f, ModelConfig& c) {
  ASSIGN_OR_RETURN(const bool attention_bias, f.boolean("attention_bias", false));
  ASSIGN_OR_RETURN(const bool mlp_bias, f.boolean("mlp_bias", false));
  switch (c.architecture) {
    case Architecture::kLlama:
      c.attention_bias = c.attention_output_bias = attention_bias;
      c.mlp_bias = mlp_bias;
      return ok_status();
    case Architecture::kQwen3:
      c.attention_bias = c.attention_output_bias = attention_bias;
      c.qk_norm = true;
      break;
    case Architecture::kQwen2: c.attention_bias = true; break;  // fixed; the class has no such field
    case Architecture::kMistral:
      if (attention_bias) return f.unsupported("attention_bias", "is true, but Mistral has no biases");
      break;
  }
  if (mlp_bias) {
    return f.unsupported("mlp_bias", fmt::format("is true, but {} has no MLP biases", c.architecture_name));
  }
  return ok_status();
}

// Which layers slide, [num_layers]; empty when the file does not list them.
Result<std::vector<bool>> read_layer_types(const Fields& f, const ModelConfig& c) {
  const json::Value* list = f.find("layer_types");
  if (list == nullptr) return std::vector<bool>();
  const json::Array* items = list->if_array();
  if (items == nullptr || items->size() != static_cast<size_t>(c.num_layers)) {
    return f.error("layer_types", fmt::format("is not a list of num_hidden_layers, {}, names", c.num_layers));
  }
  std::vector<bool> slides;
  for (const json::Value& item : *items) {
    const bool sliding = item.is_string() && item.get_string() == "sliding_attention";
    if (!sliding && !(item.is_string() && item.get_string() == "full_attention")) {
      return f.unsupported(
          "layer_types",
          fmt::format("holds {}; supported are full_attention and sliding_attention", f.shown(item)));
    }
    slides.push_back(sliding);
  }
  return slides;
}

void set_window(ModelConfig& c, int window, std::vector<bool> slides) {
  size_t sliding = 0;
  for (const bool s : slides) sliding += s ? 1 : 0;
  if (sliding == 0) return;
  c.sliding_window = window;
  if (sliding < slides.size()) c.layer_uses_window = std::move(slides);
}

Status read_window(const Fields& f, ModelConfig& c) {
  if (c.num_layers < 1 || c.num_layers > (1 << 20)) return ok_status();  // validate_config says it
  ASSIGN_OR_RETURN(std::vector<bool> slides, read_layer_types(f, c));
  const auto any_slides = [&] {
    for (const bool s : slides) {
      if (s) return true;
    }
    return false;
  };
  if (c.architecture == Architecture::kLlama) {  // its class has no window; one that asks for it is not Llama
    if (any_slides())
      return f.unsupported("layer_types", "holds sliding_attention, but Llama has no sliding window");
    return ok_status();
  }
  const bool mistral = c.architecture == Architecture::kMistral;
  ASSIGN_OR_RETURN(const bool use, f.boolean("use_sliding_window", false));
  const bool said_null = f.has("sliding_window") && f.find("sliding_window") == nullptr;
  ASSIGN_OR_RETURN(int window, f.integer("sliding_window", said_null ? 0 : 4096));
  if (!said_null && window < 1)
    return f.error("sliding_window", fmt::format("is {}, expected 1 or more", window));
  if (!mistral && !use) window = 0;
  if (mistral) {  // every layer slides, or none
    for (const bool s : slides) {
      if (s != (window > 0))
        return f.unsupported("layer_types", "mixes kinds of attention, which Mistral has not");
    }
    c.sliding_window = window;
    return ok_status();
  }
  if (window == 0) {
    if (any_slides())
      return f.error("layer_types", "holds sliding_attention, but there is no sliding window in use");
    return ok_status();
  }
  if (slides.empty()) {
    ASSIGN_OR_RETURN(const int first, f.integer("max_window_layers", 28));
    for (int i = 0; i < c.num_layers; ++i) slides.push_back(i >= first);
  }
  set_window(c, window, std::move(slides));
  return ok_status();
}

Status read_dtype(const Fields& f, ModelConfig& c) {
  const std::string_view key = f.find("dtype") != nullptr ? "dtype" : "torch_dtype";
  ASSIGN_OR_RETURN(c.torch_dtype, f.text(key, ""));
  if (c.torch_dtype.starts_with("torch.")) c.torch_dtype.erase(0, 6);
  for (const std::string_view known : {"", "bfloat16", "float16", "float32"}) {
    if (c.torch_dtype == known) return ok_status();
  }
  return f.unsupported(
      key, fmt::format("is {}, supported are bfloat16, float16 and float32", quote_name(c.torch_dtype)));
}

Result<ModelConfig> parse(const Fields& f) {
  ASSIGN_OR_RETURN(const ArchitectureEntry entry, find_architecture(f));
  ModelConfig c;
  c.architecture = entry.architecture;
  c.architecture_name = entry.name;
  if (f.find("auto_map") != nullptr) {
    LOG_WARN("{}: auto_map names Python code; no code of a model is ever run, {} is built in", f.path(),
             c.architecture_name);
  }
  RETURN_IF_ERROR(refuse_foreign_fields(f));
  ASSIGN_OR_RETURN(const std::string act, f.text("hidden_act", "silu"));
  if (act != "silu") {
    return f.unsupported("hidden_act", fmt::format("is {}, supported is silu", quote_name(act)));
  }
  RETURN_IF_ERROR(read_dimensions(f, c));
  RETURN_IF_ERROR(read_biases(f, c));
  RETURN_IF_ERROR(read_window(f, c));
  RETURN_IF_ERROR(read_dtype(f, c));
  ASSIGN_OR_RETURN(c.tie_word_embeddings, f.boolean("tie_word_embeddings", false));
  ASSIGN_OR_RETURN(c.eos_token_ids, f.token_ids("eos_token_id"));
  ASSIGN_OR_RETURN(c.bos_token_ids, f.token_ids("bos_token_id"));
  ASSIGN_OR_RETURN(c.rope, parse_hf_rope(f, c.max_position_embeddings));
  RETURN_IF_ERROR(validate_config(c, f.path()));
  return c;
}

}  // namespace

std::string supported_architectures() {
  std::string out;
  for (const ArchitectureEntry& entry : kArchitectures) {
    if (!out.empty()) out += ", ";
    out += entry.name;
  }
  return out;
}

Result<ModelConfig> parse_hf_config(std::string_view json_text, const std::string& path) {
  ASSIGN_OR_RETURN(const json::Value value, parse_json_file(json_text, path));
  return parse(Fields(value.get_object(), path, ""));
}

}  // namespace pegainfer
