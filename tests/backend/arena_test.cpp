#include "backend/arena.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace pegainfer {
namespace {

TEST(ArenaTest, ScopesGiveBackAndPeakStays) {
  alignas(64) std::array<std::byte, 4096> block;
  Arena arena(block);
  const Tensor a = arena.make(DType::kBF16, 3, 5);
  EXPECT_EQ(a.data, block.data());
  EXPECT_EQ(arena.used(), 64U);
  void* inner = nullptr;
  {
    const Arena::Scope scope(arena);
    inner = arena.make(DType::kF32, 10, 10).data;
    EXPECT_EQ(arena.used(), 64U + 448U);
  }
  EXPECT_EQ(arena.used(), 64U);
  EXPECT_EQ(arena.make(DType::kI32, 1, 1).data, inner);
  EXPECT_EQ(arena.peak(), 512U);
  arena.reset();
  EXPECT_EQ(arena.make(DType::kI64, 2, 2).data, block.data());
}

TEST(ArenaTest, DryRunHasTheSamePeakAndOffsets) {
  alignas(64) std::array<std::byte, 4096> block;
  Arena real(block);
  Arena dry = Arena::dry(block.size());
  const auto run = [](Arena& arena) {
    std::vector<std::byte*> places;
    for (int i = 1; i < 5; ++i) places.push_back(static_cast<std::byte*>(arena.make(DType::kF32, i, 7).data));
    return places;
  };
  const auto a = run(real);
  const auto b = run(dry);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i] - a[0], b[i] - b[0]);
  EXPECT_EQ(real.peak(), dry.peak());
}

TEST(ArenaDeathTest, SaysWhatWasNeededAndPlanned) {
  alignas(64) std::array<std::byte, 128> block;
  Arena arena(block);
  EXPECT_DEATH(arena.make(DType::kF32, 10, 10), "448 bytes of workspace, 128 were planned");
}

}  // namespace
}  // namespace pegainfer
