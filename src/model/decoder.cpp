#include "model/decoder.h"

#include "model/rope.h"

namespace pegainfer {

Tensor DecoderModel::forward(Forward& f) const {
  Tensor rope_table = f.rope_table(weights_.rope);
  Tensor x = f.embedding(weights_.embedding);  // the residual stream
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    attention_block(f, config_, static_cast<int>(i), weights_.layers[i].attention, x, rope_table);
    gated_mlp(f, config_, weights_.layers[i].mlp, x);
  }
  Tensor rows = f.logits_rows(x);
  return rows ? f.rms_norm(rows, weights_.final_norm, config_.rms_norm_eps) : rows;
}

Tensor DecoderModel::logits(Forward& f, Tensor rows) const { return f.linear_to_f32(rows, weights_.head); }

std::vector<WeightSpec> embedding_specs(const ModelConfig& c) {
  const int64_t vocab = c.vocab_size;
  const int64_t hidden = c.hidden_size;
  std::vector<WeightSpec> specs{
      {"model.embed_tokens.weight", "token_embd.weight", "embedding", WeightRole::kMatrix, vocab, hidden},
      {"model.norm.weight", "output_norm.weight", "final_norm", WeightRole::kVector, hidden},
  };
  if (!c.tie_word_embeddings)
    specs.push_back({"lm_head.weight", "output.weight", "head", WeightRole::kMatrix, vocab, hidden});
  return specs;
}

std::vector<WeightSpec> attention_specs(const ModelConfig& c) {
  constexpr auto kMatrix = WeightRole::kMatrix;
  constexpr auto kBias = WeightRole::kBias;
  const int64_t hidden = c.hidden_size;
  const int64_t q = static_cast<int64_t>(c.num_heads) * c.head_dim;
  const int64_t kv = static_cast<int64_t>(c.num_kv_heads) * c.head_dim;
  const int q_heads = c.gguf_rope_permuted ? c.num_heads : 0;
  const int k_heads = c.gguf_rope_permuted ? c.num_kv_heads : 0;
  constexpr std::string_view kQkv = "layers.{}.qkv";
  std::vector<WeightSpec> specs{
      {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", "layers.{}.input_norm",
       WeightRole::kVector, hidden},
      {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight", kQkv, kMatrix, q, hidden, q_heads},
      {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight", kQkv, kMatrix, kv, hidden, k_heads},
      {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight", kQkv, kMatrix, kv, hidden},
      {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight", "layers.{}.o", kMatrix, hidden,
       q},
  };
  if (c.attention_bias) {
    specs.push_back(
        {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", kQkv, kBias, q, 0, q_heads});
    specs.push_back(
        {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", kQkv, kBias, kv, 0, k_heads});
    specs.push_back({"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", kQkv, kBias, kv});
  }
  if (c.attention_output_bias)
    specs.push_back(
        {"model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias", "layers.{}.o", kBias, hidden});
  return specs;
}

std::vector<WeightSpec> qk_norm_specs(const ModelConfig& c) {
  return {
      {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight", "layers.{}.q_norm",
       WeightRole::kVector, c.head_dim},
      {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight", "layers.{}.k_norm",
       WeightRole::kVector, c.head_dim},
  };
}

std::vector<WeightSpec> gated_mlp_specs(const ModelConfig& c) {
  constexpr auto kMatrix = WeightRole::kMatrix;
  constexpr auto kBias = WeightRole::kBias;
  constexpr std::string_view kGateUp = "layers.{}.gate_up";
  constexpr std::string_view kDown = "layers.{}.down";
  const int64_t hidden = c.hidden_size;
  const int64_t n = c.intermediate_size;
  std::vector<WeightSpec> specs{
      {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", "layers.{}.post_norm",
       WeightRole::kVector, hidden},
      {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight", kGateUp, kMatrix, n, hidden},
      {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight", kGateUp, kMatrix, n, hidden},
      {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight", kDown, kMatrix, hidden, n},
  };
  if (c.mlp_bias) {
    specs.push_back({"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias", kGateUp, kBias, n});
    specs.push_back({"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias", kGateUp, kBias, n});
    specs.push_back({"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias", kDown, kBias, hidden});
  }
  return specs;
}

std::vector<WeightSpec> concat(const std::vector<std::vector<WeightSpec>>& groups) {
  std::vector<WeightSpec> out;
  for (const auto& group : groups) out.insert(out.end(), group.begin(), group.end());
  return out;
}

std::unique_ptr<Model> create_decoder(const ModelConfig& c, const WeightMap& weights) {
  DecoderWeights out;
  out.embedding = weights.weight("embedding");
  out.final_norm = weights.vector("final_norm");
  out.rope = {weights.vector("rope.inv_freq"), compute_rope(c).attention_factor};
  out.head = c.tie_word_embeddings ? out.embedding : weights.weight("head");
  for (int i = 0; i < c.num_layers; ++i) {
    const auto weight = [&](std::string_view name) { return weights.weight(layer_name(name, i)); };
    out.layers.push_back({
        .attention = {.norm = weights.vector(layer_name("layers.{}.input_norm", i)),
                      .qkv = weight("layers.{}.qkv"),
                      .o = weight("layers.{}.o"),
                      .q_norm = weights.vector_or_empty(layer_name("layers.{}.q_norm", i)),
                      .k_norm = weights.vector_or_empty(layer_name("layers.{}.k_norm", i))},
        .mlp = {.norm = weights.vector(layer_name("layers.{}.post_norm", i)),
                .gate_up = weight("layers.{}.gate_up"),
                .down = weight("layers.{}.down")},
    });
  }
  return std::make_unique<DecoderModel>(c, std::move(out));
}

}  // namespace pegainfer
