// The tensor types a GGUF file may name: those we compute with and those we can only list.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace pegainfer {

struct GgufTensorType {
  uint32_t id;
  std::string_view name;
  uint32_t block_elements;
  uint32_t block_bytes;
  std::optional<WeightFormat> format;  // empty: can be listed, not loaded
};

constexpr GgufTensorType gguf_type_of(uint32_t id, WeightFormat f) {
  const WeightFormatInfo& info = info_of(f);
  return {id, info.name, static_cast<uint32_t>(info.block_elements), static_cast<uint32_t>(info.block_bytes),
          f};
}

inline constexpr std::array<GgufTensorType, 34> kGgufTensorTypes{{
    gguf_type_of(0, WeightFormat::kF32),
    gguf_type_of(1, WeightFormat::kF16),
    gguf_type_of(2, WeightFormat::kQ4_0),
    gguf_type_of(3, WeightFormat::kQ4_1),
    gguf_type_of(6, WeightFormat::kQ5_0),
    gguf_type_of(7, WeightFormat::kQ5_1),
    gguf_type_of(8, WeightFormat::kQ8_0),
    {9, "Q8_1", 32, 40, {}},
    gguf_type_of(10, WeightFormat::kQ2_K),
    gguf_type_of(11, WeightFormat::kQ3_K),
    gguf_type_of(12, WeightFormat::kQ4_K),
    gguf_type_of(13, WeightFormat::kQ5_K),
    gguf_type_of(14, WeightFormat::kQ6_K),
    {15, "Q8_K", 256, 292, {}},
    {16, "IQ2_XXS", 256, 66, {}},
    {17, "IQ2_XS", 256, 74, {}},
    {18, "IQ3_XXS", 256, 98, {}},
    {19, "IQ1_S", 256, 50, {}},
    gguf_type_of(20, WeightFormat::kIQ4_NL),
    {21, "IQ3_S", 256, 110, {}},
    {22, "IQ2_S", 256, 82, {}},
    {23, "IQ4_XS", 256, 136, {}},
    {24, "I8", 1, 1, {}},
    {25, "I16", 1, 2, {}},
    {26, "I32", 1, 4, {}},
    {27, "I64", 1, 8, {}},
    {28, "F64", 1, 8, {}},
    {29, "IQ1_M", 256, 56, {}},
    gguf_type_of(30, WeightFormat::kBF16),
    {34, "TQ1_0", 256, 54, {}},
    {35, "TQ2_0", 256, 66, {}},
    {39, "MXFP4", 32, 17, {}},
    {40, "NVFP4", 64, 36, {}},
    {41, "Q1_0", 128, 18, {}},
}};

constexpr const GgufTensorType* find_gguf_type(uint32_t id) {
  for (const GgufTensorType& type : kGgufTensorTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

}  // namespace pegainfer
