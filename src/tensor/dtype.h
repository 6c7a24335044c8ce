// Element types of activations and the storage formats of weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pegainfer {

// What a Tensor holds: activations, indices, small parameters.
enum class DType : uint8_t { kF32, kBF16, kI32, kI64 };

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBF16: return 2;
    case DType::kI64: return 8;
  }
  return 0;
}

constexpr std::string_view name_of(DType t) {
  constexpr std::array<std::string_view, 4> kNames{"float32", "bfloat16", "int32", "int64"};
  return kNames.at(static_cast<size_t>(t));
}

// How a weight matrix is stored, in a checkpoint and in memory. The quantized ones are GGUF's; their blocks
// run along a row.
enum class WeightFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
};
inline constexpr int kNumWeightFormats = 14;

struct WeightFormatInfo {
  WeightFormat format;
  std::string_view name;  // as GGUF and safetensors spell it
  int block_elements;     // columns a block holds
  int block_bytes;
};

constexpr std::array<WeightFormatInfo, kNumWeightFormats> kWeightFormats{{
    {WeightFormat::kF32, "F32", 1, 4},
    {WeightFormat::kF16, "F16", 1, 2},
    {WeightFormat::kBF16, "BF16", 1, 2},
    {WeightFormat::kQ4_0, "Q4_0", 32, 18},
    {WeightFormat::kQ4_1, "Q4_1", 32, 20},
    {WeightFormat::kQ5_0, "Q5_0", 32, 22},
    {WeightFormat::kQ5_1, "Q5_1", 32, 24},
    {WeightFormat::kQ8_0, "Q8_0", 32, 34},
    {WeightFormat::kQ2_K, "Q2_K", 256, 84},
    {WeightFormat::kQ3_K, "Q3_K", 256, 110},
    {WeightFormat::kQ4_K, "Q4_K", 256, 144},
    {WeightFormat::kQ5_K, "Q5_K", 256, 176},
    {WeightFormat::kQ6_K, "Q6_K", 256, 210},
    {WeightFormat::kIQ4_NL, "IQ4_NL", 32, 18},
}};

constexpr const WeightFormatInfo& info_of(WeightFormat f) {
  return kWeightFormats.at(static_cast<size_t>(f));
}
constexpr bool is_quantized(WeightFormat f) { return info_of(f).block_elements > 1; }
// Bytes of a row of `cols` elements in checkpoint layout; cols must be a multiple of block_elements.
constexpr size_t row_bytes(WeightFormat f, int64_t cols) {
  return static_cast<size_t>(cols / info_of(f).block_elements) * static_cast<size_t>(info_of(f).block_bytes);
}

}  // namespace pegainfer
