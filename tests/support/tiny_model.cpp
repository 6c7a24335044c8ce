#include "support/tiny_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/check.h"
#include "base/half.h"

namespace pegainfer::testing {

namespace {

uint64_t next_hash(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

uint64_t name_hash(const std::string& name) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325U;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return h;
}

// Nearly normal values of the given mean and spread.
TinyTensor make(const std::string& name, std::vector<int64_t> shape, double spread, double mean = 0) {
  int64_t count = 1;
  for (const int64_t n : shape) count *= n;
  TinyTensor t{name, std::move(shape), {}};
  uint64_t state = name_hash(name);
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int k = 0; k < 4; ++k) sum += static_cast<double>(next_hash(state) >> 11U) * 0x1p-53;
    t.values.push_back(round_bf16(static_cast<float>((sum - 2) * std::sqrt(3.0) * spread + mean)));
  }
  return t;
}

}  // namespace

TinyModel tiny_qwen3() { return {}; }

TinyModel tiny_qwen2() {
  TinyModel m;
  m.architecture = "Qwen2ForCausalLM";
  m.model_type = "qwen2";
  m.heads = 6;
  m.kv_heads = 2;
  m.head_dim = 16;
  m.hidden = 96;
  m.tied = false;
  m.attention_bias = true;
  m.qk_norm = false;
  return m;
}

TinyModel tiny_llama() {
  TinyModel m;
  m.architecture = "LlamaForCausalLM";
  m.model_type = "llama";
  m.heads = 3;
  m.kv_heads = 1;
  m.attention_bias = m.attention_output_bias = m.mlp_bias = true;
  m.qk_norm = false;
  return m;
}

TinyModel tiny_mistral() {
  TinyModel m;
  m.architecture = "MistralForCausalLM";
  m.model_type = "mistral";
  m.window = 24;
  m.tied = false;
  m.qk_norm = false;
  return m;
}

std::vector<TinyTensor> tiny_tensors(const TinyModel& m) {
  std::vector<TinyTensor> out;
  const auto linear = [&](const std::string& name, int rows, int cols, double gain, bool bias) {
    out.push_back(make(name + ".weight", {rows, cols}, gain / std::sqrt(cols)));
    if (bias) out.push_back(make(name + ".bias", {rows}, 0.25 * gain));
  };
  const auto norm = [&](const std::string& name, int size) { out.push_back(make(name, {size}, 0.2, 1)); };
  const int q = m.heads * m.head_dim;
  const int kv = m.kv_heads * m.head_dim;
  out.push_back(make("model.embed_tokens.weight", {m.vocab, m.hidden}, 0.5));
  for (int i = 0; i < m.layers; ++i) {
    const std::string p = fmt::format("model.layers.{}.", i);
    norm(p + "input_layernorm.weight", m.hidden);
    linear(p + "self_attn.q_proj", q, m.hidden, 1.3, m.attention_bias);
    linear(p + "self_attn.k_proj", kv, m.hidden, 1.3, m.attention_bias);
    linear(p + "self_attn.v_proj", kv, m.hidden, 1.0, m.attention_bias);
    linear(p + "self_attn.o_proj", m.hidden, q, 2.0, m.attention_output_bias);
    if (m.qk_norm) norm(p + "self_attn.q_norm.weight", m.head_dim);
    if (m.qk_norm) norm(p + "self_attn.k_norm.weight", m.head_dim);
    norm(p + "post_attention_layernorm.weight", m.hidden);
    linear(p + "mlp.gate_proj", m.intermediate, m.hidden, 1.5, m.mlp_bias);
    linear(p + "mlp.up_proj", m.intermediate, m.hidden, 1.0, m.mlp_bias);
    linear(p + "mlp.down_proj", m.hidden, m.intermediate, 1.5, m.mlp_bias);
  }
  norm("model.norm.weight", m.hidden);
  if (!m.tied) linear("lm_head", m.vocab, m.hidden, 2.5, false);
  return out;
}

std::vector<std::byte> encode_values(const std::vector<float>& values, const std::string& dtype) {
  std::vector<std::byte> out;
  const auto put = [&](const void* at, size_t n) {
    const auto* bytes = static_cast<const std::byte*>(at);
    out.insert(out.end(), bytes, bytes + n);
  };
  for (const float f : values) {
    const uint16_t half = dtype == "float16" ? f32_to_f16(f) : f32_to_bf16(f);
    if (dtype == "float32")
      put(&f, sizeof f);
    else
      put(&half, sizeof half);
  }
  return out;
}

std::string tiny_config_json(const TinyModel& m) {
  std::string out = fmt::format(
      R"({{"architectures": ["{}"], "model_type": "{}", "hidden_act": "silu", "hidden_size": {},
"intermediate_size": {}, "max_position_embeddings": {}, "num_attention_heads": {}, "num_hidden_layers": {},
"num_key_value_heads": {}, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": {},
"torch_dtype": "{}", "vocab_size": {})",
      m.architecture, m.model_type, m.hidden, m.intermediate, m.max_position, m.heads, m.layers, m.kv_heads,
      m.tied, m.dtype, m.vocab);
  if (m.model_type != "qwen2") out += fmt::format(", \"head_dim\": {}", m.head_dim);
  if (m.model_type == "llama")
    out += fmt::format(", \"attention_bias\": {}, \"mlp_bias\": {}", m.attention_bias, m.mlp_bias);
  if (m.window > 0) out += fmt::format(", \"sliding_window\": {}", m.window);
  return out + "}\n";
}

void write_model(const TinyModel& m, const std::vector<TinyTensor>& tensors,
                 const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  std::ofstream(directory / "config.json") << tiny_config_json(m);
  const std::string tag = m.dtype == "bfloat16" ? "BF16" : m.dtype == "float16" ? "F16" : "F32";
  std::string header;
  std::vector<std::byte> data;
  for (const TinyTensor& t : tensors) {
    const std::vector<std::byte> bytes = encode_values(t.values, m.dtype);
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.empty() ? "{" : ",", t.name, tag, fmt::join(t.shape, ","), data.size(),
                          data.size() + bytes.size());
    data.insert(data.end(), bytes.begin(), bytes.end());
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  std::ofstream file(directory / "model.safetensors", std::ios::binary);
  const uint64_t size = header.size();
  std::array<char, sizeof size> prefix{};
  std::memcpy(prefix.data(), &size, sizeof size);
  file.write(prefix.data(), prefix.size());
  file << header;
  file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
  CHECK(file.good(), "cannot write {}", directory.string());
}

TempDir::TempDir() {
  static std::atomic<int> counter{0};
  path_ = std::filesystem::temp_directory_path() /
          fmt::format("pegainfer-test-{}-{}", ::getpid(), counter.fetch_add(1));
  std::filesystem::create_directories(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace pegainfer::testing
