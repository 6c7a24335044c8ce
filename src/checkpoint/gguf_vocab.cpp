// The tokenizer and the sampling defaults that GGUF metadata holds.
#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <utility>

#include "checkpoint/config.h"

namespace pegainfer {
namespace {

template <class T>
Result<std::vector<T>> take_numbers(const GgufMetadata& m, std::string_view key, size_t expected) {
  ASSIGN_OR_RETURN(const GgufNumbers* list, m.numbers(key));
  std::vector<T> out;
  if (list == nullptr || list->size() == 0) return out;
  if (list->size() != expected) {
    return invalid_argument(
        fmt::format("{}: {} has {} entries, but there are {} tokens", m.path(), key, list->size(), expected));
  }
  out.reserve(expected);
  for (size_t i = 0; i < expected; ++i) {
    const double v = list->number(i);
    if (!std::isfinite(v) || std::fabs(v) > static_cast<double>(std::numeric_limits<T>::max())) {
      return invalid_argument(fmt::format("{}: {} holds {}, which is out of range", m.path(), key, v));
    }
    out.push_back(static_cast<T>(v));
  }
  return out;
}

Result<std::optional<TokenId>> token_id(const GgufMetadata& m, std::string_view key, size_t num_tokens) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> v, m.integer(key));
  if (!v || *v == std::numeric_limits<uint32_t>::max()) return std::optional<TokenId>();
  if (*v < 0 || static_cast<uint64_t>(*v) >= num_tokens) {
    return invalid_argument(
        fmt::format("{}: {} is {}, but there are {} tokens", m.path(), key, *v, num_tokens));
  }
  return std::optional<TokenId>(static_cast<TokenId>(*v));
}

Result<std::optional<double>> sampling_number(const GgufMetadata& m, std::string_view key, double most) {
  ASSIGN_OR_RETURN(const std::optional<double> v, m.number(key));
  if (v && !(*v >= 0 && *v <= most)) {
    return invalid_argument(fmt::format("{}: {} is {}, expected 0 to {}", m.path(), key, *v, most));
  }
  return v;
}

}  // namespace

Result<GgufVocab> take_gguf_vocab(GgufMetadata& m) {
  GgufVocab out;
  ASSIGN_OR_RETURN(const std::optional<std::string> model, m.text("tokenizer.ggml.model"));
  if (!model) return invalid_argument(fmt::format("{}: tokenizer.ggml.model is missing", m.path()));
  out.model = *model;
  ASSIGN_OR_RETURN(const std::optional<std::string> pre, m.text("tokenizer.ggml.pre"));
  out.pre = pre.value_or("");
  ASSIGN_OR_RETURN(out.tokens, m.take_strings("tokenizer.ggml.tokens"));
  if (out.tokens.empty() || out.tokens.size() > (size_t{16} << 20)) {
    return invalid_argument(fmt::format("{}: tokenizer.ggml.tokens is missing or has an impossible size, {}",
                                        m.path(), out.tokens.size()));
  }
  const size_t n = out.tokens.size();
  ASSIGN_OR_RETURN(out.scores, take_numbers<float>(m, "tokenizer.ggml.scores", n));
  ASSIGN_OR_RETURN(out.token_types, take_numbers<int32_t>(m, "tokenizer.ggml.token_type", n));
  ASSIGN_OR_RETURN(out.merges, m.take_strings("tokenizer.ggml.merges"));
  ASSIGN_OR_RETURN(out.bos_id, token_id(m, "tokenizer.ggml.bos_token_id", n));
  ASSIGN_OR_RETURN(out.eos_id, token_id(m, "tokenizer.ggml.eos_token_id", n));
  ASSIGN_OR_RETURN(out.unk_id, token_id(m, "tokenizer.ggml.unknown_token_id", n));
  ASSIGN_OR_RETURN(out.pad_id, token_id(m, "tokenizer.ggml.padding_token_id", n));
  ASSIGN_OR_RETURN(out.add_bos, m.boolean("tokenizer.ggml.add_bos_token"));
  ASSIGN_OR_RETURN(out.add_eos, m.boolean("tokenizer.ggml.add_eos_token"));
  ASSIGN_OR_RETURN(out.add_space_prefix, m.boolean("tokenizer.ggml.add_space_prefix"));
  return out;
}

Result<GenerationDefaults> parse_gguf_generation(const GgufMetadata& m) {
  GenerationDefaults out;
  ASSIGN_OR_RETURN(out.temperature, sampling_number(m, "general.sampling.temp", 1000));
  ASSIGN_OR_RETURN(out.top_p, sampling_number(m, "general.sampling.top_p", 1));
  ASSIGN_OR_RETURN(out.min_p, sampling_number(m, "general.sampling.min_p", 1));
  ASSIGN_OR_RETURN(out.repetition_penalty, sampling_number(m, "general.sampling.penalty_repeat", 1000));
  ASSIGN_OR_RETURN(const std::optional<int64_t> top_k, m.integer("general.sampling.top_k"));
  if (top_k) {
    if (*top_k < -1 || *top_k > std::numeric_limits<int>::max()) {
      return invalid_argument(
          fmt::format("{}: general.sampling.top_k is {}, expected -1 or more", m.path(), *top_k));
    }
    out.top_k = static_cast<int>(std::max<int64_t>(*top_k, 0));
  }
  return out;
}

}  // namespace pegainfer
