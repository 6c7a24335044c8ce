#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "checkpoint/hf_json.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

// What transformers knows in a RoPE object. A key outside this list has unknown meaning and is refused; one
// that the type does not use is ignored, as there.
constexpr std::array<std::string_view, 15> kKnownKeys{"rope_type",
                                                      "type",
                                                      "rope_theta",
                                                      "factor",
                                                      "finetuned",
                                                      "low_freq_factor",
                                                      "high_freq_factor",
                                                      "original_max_position_embeddings",
                                                      "beta_fast",
                                                      "beta_slow",
                                                      "attention_factor",
                                                      "mscale",
                                                      "mscale_all_dim",
                                                      "truncate",
                                                      "partial_rotary_factor"};

Status check_keys(const Fields& rope) {
  for (const auto& member : rope.object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (member.value().is_null()) continue;
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), key) == kKnownKeys.end()) {
      return rope.unsupported(quote_name(key), "is not supported");
    }
  }
  ASSIGN_OR_RETURN(const double partial, rope.number("partial_rotary_factor", 1.0));
  if (partial != 1.0) {
    return rope.unsupported("partial_rotary_factor", fmt::format("is {}, supported is 1", partial));
  }
  return ok_status();
}

Result<RopeType> read_type(const Fields& rope) {
  const std::string_view key = rope.find("rope_type") != nullptr ? "rope_type" : "type";
  ASSIGN_OR_RETURN(const std::string name, rope.text(key, "default"));
  if (name == "default") return RopeType::kDefault;
  if (name == "linear") return RopeType::kLinear;
  if (name == "llama3") return RopeType::kLlama3;
  if (name == "yarn") return RopeType::kYarn;
  return rope.unsupported(
      key, fmt::format("is {}; supported are default, linear, llama3 and yarn", quote_name(name)));
}

Result<double> required(const Fields& rope, std::string_view key) {
  if (rope.find(key) == nullptr) return rope.error(key, "is missing, expected a number");
  return rope.number(key, 0);
}

Result<std::optional<double>> optional_number(const Fields& rope, std::string_view key) {
  if (rope.find(key) == nullptr) return std::optional<double>();
  ASSIGN_OR_RETURN(const double v, rope.number(key, 0));
  return std::optional<double>(v);
}

Status read_yarn(const Fields& rope, int max_position_embeddings, RopeConfig& out) {
  if (!rope.has("factor")) return rope.error("factor", "is missing, expected a number");
  const double implied = static_cast<double>(max_position_embeddings) /
                         static_cast<double>(std::max(1, out.original_max_position_embeddings));
  ASSIGN_OR_RETURN(out.factor, rope.number("factor", implied));  // null: the ratio of the two lengths
  ASSIGN_OR_RETURN(out.beta_fast, rope.number("beta_fast", 32));
  ASSIGN_OR_RETURN(out.beta_slow, rope.number("beta_slow", 1));
  ASSIGN_OR_RETURN(out.attention_factor, optional_number(rope, "attention_factor"));
  ASSIGN_OR_RETURN(out.mscale, optional_number(rope, "mscale"));
  ASSIGN_OR_RETURN(out.mscale_all_dim, optional_number(rope, "mscale_all_dim"));
  ASSIGN_OR_RETURN(out.truncate, rope.boolean("truncate", true));
  return ok_status();
}

// The object that speaks of RoPE, and its name; null when there is none. transformers lets rope_scaling win.
Result<const json::Object*> find_rope_object(const Fields& config, std::string_view& name) {
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    const json::Value* v = config.find(key);
    if (v == nullptr) continue;
    if (!v->is_object()) {
      return config.error(key, fmt::format("is {}, expected an object", json::kind_name(*v)));
    }
    if (v->get_object().empty()) continue;
    name = key;
    return &v->get_object();
  }
  return static_cast<const json::Object*>(nullptr);
}

}  // namespace

Result<RopeConfig> parse_hf_rope(const Fields& config, int max_position_embeddings) {
  RopeConfig out;
  ASSIGN_OR_RETURN(out.theta, config.number("rope_theta", 10000.0));
  std::string_view name;
  ASSIGN_OR_RETURN(const json::Object* object, find_rope_object(config, name));
  if (object == nullptr) return out;
  const std::string where = std::string(name) + ".";
  const Fields rope(*object, config.path(), where);
  RETURN_IF_ERROR(check_keys(rope));
  ASSIGN_OR_RETURN(out.type, read_type(rope));
  ASSIGN_OR_RETURN(out.theta, rope.number("rope_theta", out.theta));
  if (out.type == RopeType::kDefault) return out;
  if (out.type == RopeType::kLinear) {
    ASSIGN_OR_RETURN(out.factor, required(rope, "factor"));
    return out;
  }
  // The top-level field, where it exists, has priority.
  ASSIGN_OR_RETURN(const int inner,
                   rope.integer("original_max_position_embeddings", max_position_embeddings));
  ASSIGN_OR_RETURN(out.original_max_position_embeddings,
                   config.integer("original_max_position_embeddings", inner));
  if (out.original_max_position_embeddings < 1) {
    return rope.error("original_max_position_embeddings",
                      fmt::format("is {}, expected 1 or more", out.original_max_position_embeddings));
  }
  if (out.type == RopeType::kYarn) {
    RETURN_IF_ERROR(read_yarn(rope, max_position_embeddings, out));
    return out;
  }
  ASSIGN_OR_RETURN(out.factor, required(rope, "factor"));
  ASSIGN_OR_RETURN(out.low_freq_factor, required(rope, "low_freq_factor"));
  ASSIGN_OR_RETURN(out.high_freq_factor, required(rope, "high_freq_factor"));
  return out;
}

}  // namespace pegainfer
