#include "kv/kv_cache_manager.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace pegainfer {
namespace {

TEST(KvCacheManager, ExtendsByWholeBlocks) {
  KvCacheManager kv(11, 4);
  BlockTable t;
  ASSERT_TRUE(kv.extend(t, 1));
  EXPECT_EQ(t.blocks.size(), 1U);
  ASSERT_TRUE(kv.extend(t, 4));
  EXPECT_EQ(t.blocks.size(), 1U);
  ASSERT_TRUE(kv.extend(t, 5));
  EXPECT_EQ(t.blocks.size(), 2U);
  ASSERT_TRUE(kv.extend(t, 3));  // never shrinks
  EXPECT_EQ(t.blocks.size(), 2U);
  EXPECT_TRUE(kv.check_invariants({&t}));
  kv.release(t);
  EXPECT_TRUE(t.blocks.empty());
  EXPECT_EQ(kv.num_free(), 10);
  EXPECT_TRUE(kv.check_invariants({}));
}

TEST(KvCacheManager, FailedRequestsChangeNothing) {
  KvCacheManager kv(4, 4);
  BlockTable t;
  EXPECT_FALSE(kv.extend(t, 13));
  EXPECT_TRUE(t.blocks.empty());
  EXPECT_FALSE(kv.reserve(t, 13));
  EXPECT_EQ(t.num_reserved, 0);
  EXPECT_EQ(kv.num_available(), 3);
  EXPECT_TRUE(kv.can_ever_hold(12));
  EXPECT_FALSE(kv.can_ever_hold(13));
  EXPECT_FALSE(kv.can_ever_hold(int64_t{1} << 40));
}

TEST(KvCacheManager, NobodyTakesWhatAnotherWasPromised) {
  KvCacheManager kv(4, 4);
  BlockTable a;
  BlockTable b;
  ASSERT_TRUE(kv.reserve(a, 8));
  EXPECT_EQ(kv.num_free(), 3);
  EXPECT_EQ(kv.num_available(), 1);
  EXPECT_FALSE(kv.reserve(b, 5));
  EXPECT_FALSE(kv.extend(b, 5));
  ASSERT_TRUE(kv.extend(b, 4));
  ASSERT_TRUE(kv.extend(a, 8));
  EXPECT_EQ(a.num_reserved, 0);
  EXPECT_FALSE(kv.extend(a, 9));
  EXPECT_TRUE(kv.check_invariants({&a, &b}));
  kv.release(b);
  EXPECT_TRUE(kv.extend(a, 9));
}

TEST(KvCacheManager, CheckInvariantsSeesALostOrDoubledTable) {
  KvCacheManager kv(4, 4);
  BlockTable a;
  ASSERT_TRUE(kv.reserve(a, 8));
  ASSERT_TRUE(kv.extend(a, 4));
  EXPECT_TRUE(kv.check_invariants({&a}));
  EXPECT_FALSE(kv.check_invariants({}));
  EXPECT_FALSE(kv.check_invariants({&a, &a}));
  BlockTable wrong = a;
  wrong.num_reserved = 0;
  EXPECT_FALSE(kv.check_invariants({&wrong}));
}

TEST(KvCacheManager, RandomUseNeverOverlapsNorLeaks) {
  std::mt19937 rng(3);
  for (int round = 0; round < 30; ++round) {
    const int block_size = 1 + static_cast<int>(rng() % 8);
    KvCacheManager kv(2 + static_cast<int>(rng() % 30), block_size);
    std::vector<BlockTable> tables(5);
    std::vector<const BlockTable*> all;
    for (const BlockTable& t : tables) all.push_back(&t);
    for (int i = 0; i < 300; ++i) {
      BlockTable& t = tables[rng() % tables.size()];
      const int positions = static_cast<int>(rng() % 60);
      const int promised = (static_cast<int>(t.blocks.size()) + t.num_reserved) * block_size;
      switch (rng() % 4) {
        case 0: (void)kv.reserve(t, positions); break;
        case 1:
        case 2:
          if (!kv.extend(t, positions)) {
            ASSERT_GT(positions, promised) << "a promise was not kept";
          }
          break;
        default: kv.release(t);
      }
      ASSERT_TRUE(kv.check_invariants(all));
      std::set<BlockId> ids;
      for (const BlockTable& other : tables)
        for (const BlockId id : other.blocks) ASSERT_TRUE(ids.insert(id).second) << "block held twice";
    }
  }
}

}  // namespace
}  // namespace pegainfer
