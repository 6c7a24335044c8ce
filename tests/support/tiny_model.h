// Tiny models for C++ tests: weights that are a function of the tensor's name, in memory or as a Hugging Face
// directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace pegainfer::testing {

struct TinyModel {
  std::string architecture = "Qwen3ForCausalLM";
  std::string model_type = "qwen3";
  int hidden = 64;
  int layers = 2;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 32;
  int intermediate = 96;
  int vocab = 160;
  int max_position = 256;
  int window = 0;
  bool tied = true;
  bool attention_bias = false;
  bool attention_output_bias = false;
  bool mlp_bias = false;
  bool qk_norm = true;
  std::string dtype = "bfloat16";  // of the file: bfloat16, float16, float32
};

TinyModel tiny_qwen3();
TinyModel tiny_qwen2();    // biases on q, k, v; own head
TinyModel tiny_llama();    // biases everywhere, one KV head
TinyModel tiny_mistral();  // sliding window

struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;  // BF16 numbers, whatever the file's dtype
};

std::vector<TinyTensor> tiny_tensors(const TinyModel& model);
// Values rounded to `dtype` as a file holds them.
std::vector<std::byte> encode_values(const std::vector<float>& values, const std::string& dtype);
std::string tiny_config_json(const TinyModel& model);
// config.json and model.safetensors; the tensors may differ from tiny_tensors(model).
void write_model(const TinyModel& model, const std::vector<TinyTensor>& tensors,
                 const std::filesystem::path& directory);

class TempDir {  // removed with everything in it
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pegainfer::testing
