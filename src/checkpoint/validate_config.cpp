#include <fmt/core.h>

#include <cmath>
#include <cstdint>

#include "checkpoint/config.h"

namespace pegainfer {
namespace {

constexpr int kMaxHeadDim = 512;
constexpr int kMaxHidden = 1 << 20;
constexpr int kMaxLayers = 4096;
constexpr int kMaxVocab = 16 << 20;
constexpr int kMaxHeads = 4096;
constexpr int kMaxContext = 1 << 30;

Error bad(const std::string& path, std::string_view field, const std::string& what) {
  return invalid_argument(fmt::format("{}: {} {}", path, field, what), std::string(field));
}

Status check_range(const std::string& path, std::string_view field, int value, int most) {
  if (value >= 1 && value <= most) return ok_status();
  return bad(path, field, fmt::format("is {}, expected 1 to {}", value, most));
}

Status check_rope(const RopeConfig& rope, const std::string& path) {
  const auto positive = [](double v) { return std::isfinite(v) && v > 0; };
  if (!std::isfinite(rope.theta) || rope.theta <= 1) {
    return bad(path, "rope_theta", fmt::format("is {}, expected more than 1", rope.theta));
  }
  if (!positive(rope.factor))
    return bad(path, "rope factor", fmt::format("is {}, expected more than 0", rope.factor));
  if (rope.original_max_position_embeddings < 0) {
    return bad(path, "original_max_position_embeddings",
               fmt::format("is {}, expected 1 or more", rope.original_max_position_embeddings));
  }
  if (rope.type == RopeType::kLlama3 &&
      (!positive(rope.low_freq_factor) || !std::isfinite(rope.high_freq_factor) ||
       rope.high_freq_factor <= rope.low_freq_factor)) {
    return bad(path, "high_freq_factor",
               fmt::format("is {} beside a low_freq_factor of {}, expected 0 < low < high",
                           rope.high_freq_factor, rope.low_freq_factor));
  }
  if (rope.type == RopeType::kYarn) {
    if (!positive(rope.beta_slow) || !std::isfinite(rope.beta_fast) || rope.beta_fast < rope.beta_slow) {
      return bad(path, "beta_fast",
                 fmt::format("is {} beside a beta_slow of {}, expected 0 < slow <= fast", rope.beta_fast,
                             rope.beta_slow));
    }
    if (rope.attention_factor && !positive(*rope.attention_factor)) {
      return bad(path, "attention_factor",
                 fmt::format("is {}, expected more than 0", *rope.attention_factor));
    }
  }
  return ok_status();
}

}  // namespace

Status validate_config(const ModelConfig& c, const std::string& path) {
  RETURN_IF_ERROR(check_range(path, "hidden_size", c.hidden_size, kMaxHidden));
  RETURN_IF_ERROR(check_range(path, "num_hidden_layers", c.num_layers, kMaxLayers));
  RETURN_IF_ERROR(check_range(path, "num_attention_heads", c.num_heads, kMaxHeads));
  RETURN_IF_ERROR(check_range(path, "num_key_value_heads", c.num_kv_heads, kMaxHeads));
  RETURN_IF_ERROR(check_range(path, "head_dim", c.head_dim, kMaxHeadDim));
  RETURN_IF_ERROR(check_range(path, "intermediate_size", c.intermediate_size, kMaxHidden));
  RETURN_IF_ERROR(check_range(path, "vocab_size", c.vocab_size, kMaxVocab));
  RETURN_IF_ERROR(check_range(path, "max_position_embeddings", c.max_position_embeddings, kMaxContext));
  if (c.num_heads % c.num_kv_heads != 0) {
    return bad(path, "num_attention_heads",
               fmt::format("is {}, not a multiple of num_key_value_heads, {}", c.num_heads, c.num_kv_heads));
  }
  if (c.head_dim % 2 != 0)
    return bad(path, "head_dim", fmt::format("is {}, expected an even number", c.head_dim));
  if (!std::isfinite(c.rms_norm_eps) || c.rms_norm_eps < 0 || c.rms_norm_eps > 1) {
    return bad(path, "rms_norm_eps", fmt::format("is {}, expected 0 to 1", c.rms_norm_eps));
  }
  if (c.sliding_window < 0) {
    return bad(path, "sliding_window", fmt::format("is {}, expected 1 or more", c.sliding_window));
  }
  return check_rope(c.rope, path);
}

}  // namespace pegainfer
