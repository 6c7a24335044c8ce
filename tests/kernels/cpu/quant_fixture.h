// Random weight matrices in every storage format, and matrix products by plain loops.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pack.h"
#include "tensor/dtype.h"

namespace pegainfer::cpu {

struct AlignedBytes {
  explicit AlignedBytes(size_t size)
      : data(static_cast<std::byte*>(std::aligned_alloc(64, (size + 63) / 64 * 64)), std::free) {}
  std::unique_ptr<std::byte, void (*)(void*)> data;
};

// Where the F16 scales of a block are.
inline std::vector<int> half_offsets(WeightFormat f) {
  switch (f) {
    case WeightFormat::kQ4_1:
    case WeightFormat::kQ5_1:
    case WeightFormat::kQ4_K:
    case WeightFormat::kQ5_K: return {0, 2};
    case WeightFormat::kQ2_K: return {80, 82};
    case WeightFormat::kQ3_K: return {108};
    case WeightFormat::kQ6_K: return {208};
    case WeightFormat::kF32:
    case WeightFormat::kF16:
    case WeightFormat::kBF16: return {};
    default: return {0};
  }
}

// Checkpoint bytes of a random [rows, cols] matrix with values of order 0.1.
inline std::vector<std::byte> random_weights(WeightFormat f, int64_t rows, int64_t cols, std::mt19937& rng) {
  std::vector<std::byte> bytes(static_cast<size_t>(rows) * row_bytes(f, cols));
  std::normal_distribution<float> normal(0, 0.1F);
  if (!is_quantized(f)) {
    for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(info_of(f).block_bytes)) {
      const float v = normal(rng);
      const uint16_t half = f == WeightFormat::kF16 ? f32_to_f16(v) : f32_to_bf16(v);
      std::memcpy(&bytes[i], f == WeightFormat::kF32 ? static_cast<const void*>(&v) : &half,
                  static_cast<size_t>(info_of(f).block_bytes));
    }
    return bytes;
  }
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(info_of(f).block_bytes))
    for (const int at : half_offsets(f)) {
      const uint16_t half = f32_to_f16(normal(rng) * 0.03F);
      std::memcpy(&bytes[block + static_cast<size_t>(at)], &half, 2);
    }
  return bytes;
}

struct Matrix {
  WeightFormat format;
  int64_t rows, cols;
  std::vector<std::byte> source;
  AlignedBytes packed;
  std::vector<float> dense;  // [rows, cols]

  Matrix(WeightFormat f, int64_t n, int64_t k, uint32_t seed)
      : format(f), rows(n), cols(k), packed(packed_bytes(f, n, k)), dense(static_cast<size_t>(n * k)) {
    std::mt19937 rng(seed);
    source = random_weights(f, n, k, rng);
    pack_rows(f, n, k, packed.data.get(), 0, n, source.data());
    for (int64_t r = 0; r < n; ++r)
      unpack_row(f, n, k, packed.data.get(), r, &dense[static_cast<size_t>(r * k)]);
  }
};

// Activations [m, k], rows `stride` apart, as BF16 or F32; what lies between rows is NaN.
struct Activations {
  bool bf16;
  int64_t m, k, stride;
  std::vector<float> f32;      // [m, stride], the exact values
  std::vector<uint16_t> half;  // the same when bf16

  Activations(bool is_bf16, int64_t m_, int64_t k_, uint32_t seed)
      : bf16(is_bf16), m(m_), k(k_), stride(k_ + 3) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal(0, 1);
    f32.assign(static_cast<size_t>(m * stride), std::nanf(""));
    for (int64_t t = 0; t < m; ++t)
      for (int64_t c = 0; c < k; ++c) at(t, c) = bf16 ? round_bf16(normal(rng)) : normal(rng);
    sync();
  }
  float& at(int64_t t, int64_t c) { return f32[static_cast<size_t>(t * stride + c)]; }
  [[nodiscard]] float at(int64_t t, int64_t c) const { return f32[static_cast<size_t>(t * stride + c)]; }
  void sync() {
    half.resize(f32.size());
    std::transform(f32.begin(), f32.end(), half.begin(), f32_to_bf16);
  }
  [[nodiscard]] const void* data() const { return bf16 ? static_cast<const void*>(half.data()) : f32.data(); }
  // Rows `order` of these, in that order.
  [[nodiscard]] Activations pick(const std::vector<int64_t>& order) const {
    Activations out = *this;
    out.m = static_cast<int64_t>(order.size());
    out.f32.resize(static_cast<size_t>(out.m * stride));
    for (size_t i = 0; i < order.size(); ++i)
      std::copy_n(f32.begin() + order[i] * stride, stride,
                  out.f32.begin() + static_cast<int64_t>(i) * stride);
    out.sync();
    return out;
  }
};

// F32 or BF16 results as F32 [m, n].
inline std::vector<float> run_linear(Isa isa, const Matrix& w, const Activations& x,
                                     const float* bias = nullptr, bool out_bf16 = false,
                                     uint32_t shuffle = 0) {
  const LinearKernels& kernels = linear_kernels(isa);
  const LinearPreparation prep = kernels.preparation(w.format, x.bf16, w.cols);
  const AlignedBytes prepared(linear_prepared_bytes(prep, x.m, w.cols));
  const AlignedBytes scratch(kLinearScratchBytes);
  const int64_t stride = w.rows + 5;
  const float canary = 12345.5F;
  std::vector<float> out(static_cast<size_t>(x.m * stride), canary);
  std::vector<uint16_t> half(out.size(), f32_to_bf16(canary));
  const LinearArgs args{.x = x.data(),
                        .x_bf16 = x.bf16,
                        .m = x.m,
                        .x_stride = x.stride,
                        .format = w.format,
                        .packed = w.packed.data.get(),
                        .n = w.rows,
                        .k = w.cols,
                        .bias = bias,
                        .out = out_bf16 ? static_cast<void*>(half.data()) : out.data(),
                        .out_bf16 = out_bf16,
                        .out_stride = stride,
                        .prepared = prepared.data.get()};
  std::mt19937 rng(shuffle);
  const int64_t split = x.m == 0 ? 0 : static_cast<int64_t>(rng() % static_cast<uint32_t>(x.m));
  if (linear_prepared_bytes(prep, x.m, w.cols) > 0) {
    kernels.prepare(prep, args, split, x.m);
    kernels.prepare(prep, args, 0, split);
  }
  std::vector<int64_t> tasks(static_cast<size_t>(linear_num_tasks(args)));
  std::iota(tasks.begin(), tasks.end(), 0);
  if (shuffle == 0) {
    kernels.run(args, 0, linear_num_tasks(args), scratch.data.get());
  } else {
    std::shuffle(tasks.begin(), tasks.end(), rng);
    for (const int64_t t : tasks) kernels.run(args, t, t + 1, scratch.data.get());
  }
  std::vector<float> result;
  for (int64_t t = 0; t < x.m; ++t)
    for (int64_t r = 0; r < stride; ++r) {
      const auto i = static_cast<size_t>(t * stride + r);
      const float v = out_bf16 ? bf16_to_f32(half[i]) : out[i];
      if (r < w.rows) {
        result.push_back(v);
      } else {
        EXPECT_EQ(v, out_bf16 ? round_bf16(canary) : canary) << "written beyond the row";
      }
    }
  return result;
}

inline std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512})
    if (isa_available(isa)) isas.push_back(isa);
  return isas;
}

inline std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (const WeightFormatInfo& info : kWeightFormats) formats.push_back(info.format);
  return formats;
}

}  // namespace pegainfer::cpu
