#include "backend/null/null_backend.h"

#include <gtest/gtest.h>

#include "backend/arena.h"
#include "backend/check/checked_ops.h"

namespace pegainfer {
namespace {

// A layer's worth of ops over tensors that have no memory behind them.
TEST(NullBackendTest, DryRunTouchesNothing) {
  NullBackend backend;
  Arena arena = Arena::dry(size_t{1} << 40U);
  Ops& ops = backend.ops();
  const Tensor x = arena.make(DType::kBF16, 100, 576);
  const Tensor h = arena.make(DType::kBF16, 100, 576);
  const Tensor qkv = arena.make(DType::kBF16, 100, 960);
  const Weight weight;
  const BatchView batch;
  ops.embedding(weight, x, h);
  ops.rms_norm(x, x, 1e-5F, h);
  ops.add(x, h);
  ops.norm_gated_linear(x, x, 1e-5F, weight, h, qkv, h);
  ops.linear(h, weight, qkv);
  ops.store_kv(qkv, qkv, 0, batch);
  ops.paged_attention(qkv, {}, batch, h);
  ops.silu_mul(qkv, h);
  ops.sample(x, {}, h);
  ops.logprobs(x, h, 3, h, h, h);
  EXPECT_EQ(arena.peak(), size_t{100} * (576 + 576 + 960) * 2);
}

TEST(NullBackendTest, MemoryIsThereAndZero) {
  NullBackend backend;
  Buffer large = *backend.allocate(size_t{1} << 36U);  // pages only where touched
  EXPECT_EQ(large.bytes()[(size_t{1} << 36U) - 1], std::byte{0});
  EXPECT_EQ(*backend.packed_bytes(WeightFormat::kQ4_1, 3, 64), 128U);
  EXPECT_FALSE(backend.packed_bytes(WeightFormat::kQ4_1, 3, 65));
  EXPECT_TRUE(backend.record()->done());
}

}  // namespace
}  // namespace pegainfer
