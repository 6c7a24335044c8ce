#include "backend/cpu/cpu_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/pack.h"
#include "tensor/dummy_rows.h"

namespace pegainfer {
namespace {

using ::testing::HasSubstr;

TEST(CpuBackendTest, MemoryIsZeroedAlignedAndReturned) {
  CpuBackend backend({.threads = 1});
  for (const size_t bytes : {size_t{1}, size_t{4097}, size_t{9} << 20U}) {
    Result<Buffer> buffer = backend.allocate(bytes);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer->size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0U);
    const auto all = buffer->bytes();
    EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; }));
    all.back() = std::byte{1};
  }
  Result<Buffer> none = backend.allocate(0);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->size(), 0U);
}

TEST(CpuBackendTest, TooMuchMemoryIsAnError) {
  CpuBackend backend({.threads = 1});
  for (const size_t bytes : {size_t{1} << 60U, ~size_t{0}}) {
    const Result<Buffer> buffer = backend.allocate(bytes);
    ASSERT_FALSE(buffer);
    EXPECT_EQ(buffer.error().code, Code::kResourceExhausted);
    EXPECT_THAT(buffer.error().message, HasSubstr(std::to_string(bytes)));
  }
}

TEST(CpuBackendTest, MadeUpWeightsAreWhatPackingThemGives) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
    for (const int threads : {1, 3}) {
      CpuBackend backend({.threads = threads});
      constexpr int64_t kRows = 5 * Backend::kPackRows + 9;  // the last group is not whole
      constexpr int64_t kCols = 70;
      const size_t bytes = *backend.packed_bytes(format, kRows, kCols);
      const Buffer packed = *backend.allocate(bytes);
      const Buffer filled = *backend.allocate(bytes);
      WeightPart part{format, kRows, kCols, packed.data()};
      std::vector<std::byte> rows(static_cast<size_t>(kRows) * row_bytes(format, kCols));
      write_dummy_rows(part, 42, 0.5F, 0, rows);
      backend.pack_rows(part, 0, rows);
      part.data = filled.data();
      backend.fill_dummy(part, 42, 0.5F);
      EXPECT_EQ(std::memcmp(packed.data(), filled.data(), bytes), 0) << info_of(format).name;
      part.data = packed.data();
      backend.fill_dummy(part, 43, 0.5F);
      EXPECT_NE(std::memcmp(packed.data(), filled.data(), bytes), 0);
    }
  }
}

TEST(CpuBackendTest, CopiesEventsAndGraphs) {
  CpuBackend backend({.threads = 2});
  const std::vector<std::byte> from(100, std::byte{7});
  Buffer buffer = *backend.allocate(100);
  backend.upload(from, buffer.bytes());
  std::vector<std::byte> to(100);
  backend.download(buffer.bytes(), to);
  EXPECT_EQ(from, to);
  const auto event = backend.record();
  event->wait();
  EXPECT_TRUE(event->done());
  int runs = 0;
  const auto graph = backend.capture([&] { ++runs; });
  EXPECT_EQ(runs, 0);
  graph->launch();
  graph->launch();
  EXPECT_EQ(runs, 2);
}

TEST(CpuBackendTest, DescriptionNamesInstructionsAndThreads) {
  EXPECT_EQ(CpuBackend({.threads = 3, .isa = cpu::Isa::kPortable}).description(),
            "cpu (portable, 3 threads)");
  EXPECT_EQ(CpuBackend({.threads = 1, .isa = cpu::Isa::kPortable}).description(), "cpu (portable, 1 thread)");
}

// Streamed in pieces and spread over threads, packed rows are those of one call.
TEST(CpuBackendTest, PackRowsInPieces) {
  CpuBackend backend({.threads = 3});
  constexpr int64_t kRows = 500;
  constexpr int64_t kCols = 64;
  for (const WeightFormat format : {WeightFormat::kBF16, WeightFormat::kQ4_1, WeightFormat::kQ8_0}) {
    const size_t row = row_bytes(format, kCols);
    std::vector<std::byte> source(kRows * row);
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 37 % 251);
    const size_t bytes = *backend.packed_bytes(format, kRows, kCols);
    EXPECT_EQ(bytes % 64, 0U);
    Buffer expected = *backend.allocate(bytes);
    cpu::pack_rows(format, kRows, kCols, expected.data(), 0, kRows, source.data());
    Buffer got = *backend.allocate(bytes);
    const WeightPart part{format, kRows, kCols, got.data()};
    for (int64_t begin = 0; begin < kRows;) {
      const int64_t n = std::min<int64_t>(begin == 0 ? 128 : 192, kRows - begin);
      backend.pack_rows(
          part, begin,
          std::span(source).subspan(static_cast<size_t>(begin) * row, static_cast<size_t>(n) * row));
      begin += n;
    }
    EXPECT_EQ(std::memcmp(expected.data(), got.data(), bytes), 0) << info_of(format).name;
  }
}

TEST(CpuBackendTest, ColumnsThatNoBlockFits) {
  CpuBackend backend({.threads = 1});
  const Result<size_t> bytes = backend.packed_bytes(WeightFormat::kQ4_K, 10, 100);
  ASSERT_FALSE(bytes);
  EXPECT_THAT(bytes.error().message,
              HasSubstr("Q4_K weights with 100 columns: the format needs a multiple of 256"));
}

TEST(CpuBackendTest, HeadDimsThatAttentionDoesNotTake) {
  CpuBackend backend({.threads = 1});
  for (const int head_dim : {0, 7, 258}) {
    const Status status =
        backend.reserve({.max_tokens = 1, .max_seqs = 1, .head_dim = head_dim, .vocab_size = 10});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kUnsupported);
    EXPECT_THAT(status.error().message, HasSubstr("head_dim is " + std::to_string(head_dim)));
  }
}

TEST(CpuBackendDeathTest, AStepBeyondTheReservedLimits) {
  CpuBackend backend({.threads = 1});
  ASSERT_TRUE(backend.reserve(
      {.max_tokens = 4, .max_seqs = 1, .max_context = 16, .head_dim = 16, .vocab_size = 100}));
  std::vector<float> logits(2000);
  float zero = 0;
  float one = 1;
  int32_t none = 0;
  int64_t seed = 0;
  int32_t token = 0;
  const SamplerView params{Tensor::of(&one, DType::kF32, 1, 1),  Tensor::of(&none, DType::kI32, 1, 1),
                           Tensor::of(&one, DType::kF32, 1, 1),  Tensor::of(&zero, DType::kF32, 1, 1),
                           Tensor::of(&seed, DType::kI64, 1, 1), Tensor::of(&seed, DType::kI64, 1, 1)};
  const Tensor out = Tensor::of(&token, DType::kI32, 1, 1);
  backend.ops().sample(Tensor::of(logits.data(), DType::kF32, 1, 100), params, out);
  EXPECT_DEATH(backend.ops().sample(Tensor::of(logits.data(), DType::kF32, 1, 2000), params, out),
               "a step needs .* bytes of sampling scratch");
}

}  // namespace
}  // namespace pegainfer
