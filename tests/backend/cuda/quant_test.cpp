// Weights on the device: every format as the CPU reads it, rounded to BF16; made-up weights, value by value.
#include <fmt/core.h>

#include <random>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/machine.h"
#include "kernels/cpu/pack.h"
#include "kernels/cuda/quant/dequantize.h"
#include "kernels/cuda/quant/dummy.h"
#include "ops/matrix.h"
#include "tensor/dummy_rows.h"

namespace pegainfer::testing {
namespace {

// Random bits, but for the F16 scales, which are made finite: a NaN's bits are nobody's concern.
std::vector<std::byte> random_rows(WeightFormat format, int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(rows) * row_bytes(format, cols));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  const WeightFormatInfo& info = info_of(format);
  const auto tame = [&](size_t at) {
    const uint16_t half = f32_to_f16(0.02F + 0.001F * static_cast<float>(random() % 100));
    std::memcpy(bytes.data() + at, &half, sizeof half);
  };
  const auto block = static_cast<size_t>(info.block_bytes);
  for (size_t at = 0; at + block <= bytes.size(); at += block) {
    using enum WeightFormat;
    switch (format) {
      case kF16: tame(at); break;
      case kQ4_1:
      case kQ5_1:
      case kQ4_K:
      case kQ5_K: tame(at), tame(at + 2); break;
      case kQ2_K: tame(at + 80), tame(at + 82); break;
      case kQ3_K: tame(at + 108); break;
      case kQ6_K: tame(at + 208); break;
      case kQ4_0:
      case kQ5_0:
      case kQ8_0:
      case kIQ4_NL: tame(at); break;
      case kF32:
      case kBF16: break;
    }
  }
  if (format == WeightFormat::kF32 || format == WeightFormat::kBF16) {
    for (size_t i = 0; i < bytes.size(); i += block) bytes[i + block - 1] = static_cast<std::byte>(0x3f);
  }
  return bytes;
}

class CudaQuantTest : public CudaTest {
 protected:
  static CudaBackend& backend() {
    static const std::unique_ptr<CudaBackend> b = *CudaBackend::create(0, true);
    return *b;
  }
  // What the device holds of a part against the CPU's reading of the same rows.
  void expect_rows(const WeightPart& part, const std::vector<std::byte>& source) {
    std::vector<std::byte> packed(cpu::packed_bytes(part.format, part.rows, part.cols) + 64);
    auto* aligned = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(packed.data()) + 63) / 64 * 64);
    cpu::pack_rows(part.format, part.rows, part.cols, aligned, 0, part.rows, source.data());
    const DType dtype = cuda_weight_dtype(part.format);
    Matrix got(dtype, part.rows, part.cols);
    backend().download({part.data, got.tensor().bytes()},
                       {static_cast<std::byte*>(got.tensor().data), got.tensor().bytes()});
    backend().record()->wait();
    ASSERT_TRUE(backend().health().has_value()) << backend().health().error().message;
    std::vector<float> row(static_cast<size_t>(part.cols));
    for (int64_t r = 0; r < part.rows; ++r) {
      cpu::unpack_row(part.format, part.rows, part.cols, aligned, r, row.data());
      for (int64_t c = 0; c < part.cols; ++c)
        ASSERT_EQ(got.at(r, c), materialised(static_cast<double>(row[static_cast<size_t>(c)]), dtype))
            << info_of(part.format).name << " [" << part.rows << ", " << part.cols << "] at " << r << ", "
            << c;
    }
  }
};

TEST_F(CudaQuantTest, EveryFormatAsTheCpuReadsIt) {
  for (const WeightFormatInfo& info : kWeightFormats) {
    for (const auto& [rows, blocks] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 5}, {200, 3}, {64, 20}}) {
      const int64_t cols = blocks * info.block_elements * (info.block_elements == 1 ? 24 : 1);
      const std::vector<std::byte> source =
          random_rows(info.format, rows, cols, static_cast<uint64_t>(rows * cols));
      const Result<size_t> bytes = backend().packed_bytes(info.format, rows, cols);
      ASSERT_TRUE(bytes.has_value());
      const Buffer buffer = *backend().allocate(*bytes);
      const WeightPart part{info.format, rows, cols, buffer.data()};
      // In several calls, as a loader that streams does.
      const size_t a_row = row_bytes(info.format, cols);
      for (int64_t r = 0; r < rows; r += 64) {
        const auto n = static_cast<size_t>(std::min<int64_t>(64, rows - r));
        backend().pack_rows(part, r, std::span(source).subspan(static_cast<size_t>(r) * a_row, n * a_row));
      }
      expect_rows(part, source);
    }
  }
}

TEST_F(CudaQuantTest, MadeUpWeightsAreTheSameEverywhere) {
  for (const WeightFormat format : {WeightFormat::kBF16, WeightFormat::kF32, WeightFormat::kF16}) {
    for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {7, 33}, {130, 256}}) {
      const Buffer buffer = *backend().allocate(*backend().packed_bytes(format, rows, cols));
      const WeightPart part{format, rows, cols, buffer.data()};
      const uint64_t key = dummy_key("model.embed", 11, 1, 42);
      backend().fill_dummy(part, key, kDummyScale);
      std::vector<std::byte> source(static_cast<size_t>(rows) * row_bytes(format, cols));
      write_dummy_rows(part, key, kDummyScale, 0, source);
      expect_rows(part, source);
    }
  }
}

TEST_F(CudaQuantTest, WhatCannotBe) {
  const Buffer buffer = *backend().allocate(4096);
  cudaStream_t stream = machine().context->stream();
  EXPECT_NE(cuda::dequantize(WeightFormat::kQ4_0, buffer.data(), 1, 33, buffer.data() + 1024, stream),
            cudaSuccess);
  EXPECT_NE(cuda::dequantize(WeightFormat::kQ4_0, buffer.data() + 2, 1, 32, buffer.data() + 1024, stream),
            cudaSuccess);
  EXPECT_NE(cuda::fill_dummy(WeightFormat::kQ4_0, 32, 1, 1, buffer.data(), stream), cudaSuccess);
  const auto bytes = backend().packed_bytes(WeightFormat::kQ4_K, 1, 128);
  ASSERT_FALSE(bytes.has_value());
  EXPECT_EQ(bytes.error().message, "Q4_K weights with 128 columns: the format needs a multiple of 256");
}

}  // namespace
}  // namespace pegainfer::testing
