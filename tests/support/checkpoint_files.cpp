#include "support/checkpoint_files.h"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>

namespace pegainfer::testing {

Folder::Folder() {
  static std::atomic<int> next{0};
  path_ = std::filesystem::temp_directory_path() / fmt::format("pegainfer-files-{}-{}", ::getpid(), next++);
  std::filesystem::create_directories(path_);
}

Folder::~Folder() {
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
}

std::string Folder::write(const std::string& name, std::string_view bytes) const {
  const std::filesystem::path path = path_ / name;
  std::filesystem::create_directories(path.parent_path());
  std::filesystem::remove(path);  // writing over a file makes ext4 wait for the disk
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path.string();
}

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return little_endian<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

std::string safetensors_bytes(const std::vector<SafeTensor>& tensors) {
  std::string header = "{";
  std::string data;
  for (const SafeTensor& tensor : tensors) {
    std::string shape;
    for (const int64_t dim : tensor.shape) shape += (shape.empty() ? "" : ",") + fmt::format("{}", dim);
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.size() > 1 ? "," : "", tensor.name, tensor.dtype, shape, data.size(),
                          data.size() + tensor.data.size());
    data += tensor.data;
  }
  return safetensors_bytes(header + "}", data);
}

SafeTensor counting_tensor(std::string name, std::vector<int64_t> shape) {
  int64_t n = 1;
  for (const int64_t dim : shape) n *= dim;
  std::string data;
  for (int64_t i = 0; i < n; ++i) data += little_endian(static_cast<float>(i));
  return {std::move(name), "F32", std::move(shape), std::move(data)};
}

std::string gguf_string(std::string_view text) {
  return little_endian<uint64_t>(text.size()) + std::string(text);
}

GgufWriter& GgufWriter::entry(std::string_view key, uint32_t type, std::string_view value) {
  return raw_metadata(gguf_string(key) + little_endian(type) + std::string(value));
}
GgufWriter& GgufWriter::u32(std::string_view key, uint32_t value) {
  return entry(key, 4, little_endian(value));
}
GgufWriter& GgufWriter::i32(std::string_view key, int32_t value) {
  return entry(key, 5, little_endian(value));
}
GgufWriter& GgufWriter::f32(std::string_view key, float value) { return entry(key, 6, little_endian(value)); }
GgufWriter& GgufWriter::boolean(std::string_view key, uint8_t value) {
  return entry(key, 7, little_endian(value));
}
GgufWriter& GgufWriter::u64(std::string_view key, uint64_t value) {
  return entry(key, 10, little_endian(value));
}
GgufWriter& GgufWriter::text(std::string_view key, std::string_view value) {
  return entry(key, 8, gguf_string(value));
}
GgufWriter& GgufWriter::strings(std::string_view key, const std::vector<std::string>& values) {
  std::string body = little_endian<uint32_t>(8) + little_endian<uint64_t>(values.size());
  for (const std::string& value : values) body += gguf_string(value);
  return entry(key, 9, body);
}
GgufWriter& GgufWriter::i32s(std::string_view key, const std::vector<int32_t>& values) {
  std::string body = little_endian<uint32_t>(5) + little_endian<uint64_t>(values.size());
  for (const int32_t value : values) body += little_endian(value);
  return entry(key, 9, body);
}
GgufWriter& GgufWriter::f32s(std::string_view key, const std::vector<float>& values) {
  std::string body = little_endian<uint32_t>(6) + little_endian<uint64_t>(values.size());
  for (const float value : values) body += little_endian(value);
  return entry(key, 9, body);
}
GgufWriter& GgufWriter::raw_metadata(std::string bytes) {
  metadata_.push_back(std::move(bytes));
  return *this;
}

std::string GgufWriter::describe(std::string_view name, const std::vector<int64_t>& dims, uint32_t type,
                                 uint64_t offset) {
  std::string out = gguf_string(name) + little_endian(static_cast<uint32_t>(dims.size()));
  for (const int64_t dim : dims) out += little_endian(dim);
  return out + little_endian(type) + little_endian(offset);
}

GgufWriter& GgufWriter::tensor(std::string_view name, uint32_t type, const std::vector<int64_t>& dims,
                               std::string data) {
  tensors_.push_back(describe(name, dims, type, data_.size()));
  data_ += data;
  data_.resize((data_.size() + alignment - 1) / alignment * alignment, '\0');
  return *this;
}

GgufWriter& GgufWriter::raw_tensor(std::string bytes) {
  tensors_.push_back(std::move(bytes));
  return *this;
}

std::string GgufWriter::bytes() const { return bytes(tensors_.size(), metadata_.size()); }

std::string GgufWriter::bytes(uint64_t num_tensors, uint64_t num_metadata) const {
  std::string out = magic + little_endian(version) + little_endian(num_tensors) + little_endian(num_metadata);
  for (const std::string& entry : metadata_) out += entry;
  for (const std::string& tensor : tensors_) out += tensor;
  out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
  return out + data_;
}

GgufWriter tiny_llama_gguf(std::string_view skip) {
  constexpr uint32_t kF32 = 0;
  constexpr int64_t kHidden = 8, kMlp = 16, kVocab = 8;
  GgufWriter w;
  const auto u32 = [&](std::string_view key, uint32_t value) {
    if (key != skip) w.u32(key, value);
  };
  if (skip != "general.architecture") w.text("general.architecture", "llama");
  u32("llama.block_count", 1);
  u32("llama.context_length", 64);
  u32("llama.embedding_length", kHidden);
  u32("llama.feed_forward_length", kMlp);
  u32("llama.attention.head_count", 2);
  u32("llama.attention.head_count_kv", 1);
  if (skip != "llama.attention.layer_norm_rms_epsilon")
    w.f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  if (skip != "tokenizer.ggml.model") w.text("tokenizer.ggml.model", "gpt2");
  if (skip != "tokenizer.ggml.tokens")
    w.strings("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f", "g", "h"});
  u32("tokenizer.ggml.eos_token_id", 7);

  const auto zeros = [&](std::string_view name, const std::vector<int64_t>& dims) {
    int64_t n = 4;
    for (const int64_t dim : dims) n *= dim;
    w.tensor(name, kF32, dims, std::string(static_cast<size_t>(n), '\0'));
  };
  zeros("token_embd.weight", {kHidden, kVocab});
  zeros("blk.0.attn_norm.weight", {kHidden});
  zeros("blk.0.attn_q.weight", {kHidden, kHidden});
  zeros("blk.0.attn_k.weight", {kHidden, 4});
  zeros("blk.0.attn_v.weight", {kHidden, 4});
  zeros("blk.0.attn_output.weight", {kHidden, kHidden});
  zeros("blk.0.ffn_norm.weight", {kHidden});
  zeros("blk.0.ffn_gate.weight", {kHidden, kMlp});
  zeros("blk.0.ffn_up.weight", {kHidden, kMlp});
  zeros("blk.0.ffn_down.weight", {kMlp, kHidden});
  zeros("output_norm.weight", {kHidden});
  return w;
}

}  // namespace pegainfer::testing
