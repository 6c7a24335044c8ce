#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace pegainfer {
namespace {

TEST(BlockPool, HandsOutEveryBlockButTheNullBlockOnce) {
  BlockPool pool(5);
  EXPECT_EQ(pool.num_usable(), 4);
  std::set<BlockId> seen;
  while (const auto id = pool.allocate()) {
    EXPECT_NE(*id, BlockPool::kNullBlock);
    EXPECT_EQ(pool.ref_count(*id), 1);
    EXPECT_TRUE(seen.insert(*id).second);
  }
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_TRUE(pool.check_invariants());
}

TEST(BlockPool, OnlyTheNullBlockMeansNothingToGive) {
  BlockPool pool(1);
  EXPECT_EQ(pool.num_usable(), 0);
  EXPECT_FALSE(pool.allocate());
  EXPECT_TRUE(pool.check_invariants());
}

TEST(BlockPool, ReusesTheLongestFreeBlockFirst) {
  BlockPool pool(4);
  const BlockId a = *pool.allocate();
  const BlockId b = *pool.allocate();
  const BlockId c = *pool.allocate();
  pool.release(b);
  pool.release(c);
  pool.release(a);
  EXPECT_EQ(*pool.allocate(), b);
  EXPECT_EQ(*pool.allocate(), c);
  EXPECT_EQ(*pool.allocate(), a);
}

TEST(BlockPool, ASharedBlockIsFreeOnlyAfterItsLastHolder) {
  BlockPool pool(3);
  const BlockId a = *pool.allocate();
  pool.retain(a);
  pool.release(a);
  EXPECT_EQ(pool.ref_count(a), 1);
  EXPECT_EQ(pool.num_free(), 1);
  pool.release(a);
  EXPECT_EQ(pool.num_free(), 2);
  pool.retain(a);  // out of the middle of the free list
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_NE(*pool.allocate(), a);
  EXPECT_FALSE(pool.allocate());
  EXPECT_TRUE(pool.check_invariants());
}

TEST(BlockPoolDeathTest, BugsAbort) {
  BlockPool pool(3);
  EXPECT_DEATH(pool.release(BlockId{1}), "released more often");
  EXPECT_DEATH(pool.retain(BlockPool::kNullBlock), "block 0");
  EXPECT_DEATH(pool.release(BlockId{3}), "block 3 of 3");
}

TEST(BlockPool, AgreesWithAModelUnderRandomUse) {
  std::mt19937 rng(7);
  for (int round = 0; round < 50; ++round) {
    const int num_blocks = 1 + static_cast<int>(rng() % 20);
    BlockPool pool(num_blocks);
    std::map<BlockId, int> held;
    for (int i = 0; i < 400; ++i) {
      const auto pick = [&] {
        auto it = held.begin();
        std::advance(it, static_cast<int>(rng() % held.size()));
        return it->first;
      };
      switch (rng() % 3) {
        case 0: {
          const auto id = pool.allocate();
          ASSERT_EQ(id.has_value(), static_cast<int>(held.size()) < num_blocks - 1);
          if (id) {
            ASSERT_FALSE(held.contains(*id));
            held[*id] = 1;
          }
          break;
        }
        case 1:
          if (num_blocks > 1) {
            const BlockId id{1 + static_cast<int32_t>(rng() % static_cast<unsigned>(num_blocks - 1))};
            pool.retain(id);
            ++held[id];
          }
          break;
        default:
          if (!held.empty()) {
            const BlockId id = pick();
            pool.release(id);
            if (--held[id] == 0) held.erase(id);
          }
      }
      ASSERT_TRUE(pool.check_invariants());
      ASSERT_EQ(pool.num_free(), num_blocks - 1 - static_cast<int>(held.size()));
      for (const auto& [id, count] : held) ASSERT_EQ(pool.ref_count(id), count);
    }
  }
}

}  // namespace
}  // namespace pegainfer
