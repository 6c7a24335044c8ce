#include "kv/kv_cache_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace pegainfer {
namespace {

KvCacheOptions options(int num_blocks, int block_size) {
  return {.num_blocks = num_blocks, .block_size = block_size};
}

TEST(KvCacheManager, ExtendsByWholeBlocks) {
  KvCacheManager kv(options(11, 4));
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
  KvCacheManager kv(options(4, 4));
  BlockTable t;
  EXPECT_FALSE(kv.extend(t, 13));
  EXPECT_TRUE(t.blocks.empty());
  const std::vector<TokenId> tokens(13, 1);
  kv.begin(t, "", 0);
  EXPECT_FALSE(kv.admit(t, tokens, 0));
  EXPECT_TRUE(t.blocks.empty());
  EXPECT_EQ(kv.num_free(), 3);
  EXPECT_TRUE(kv.check_invariants({&t}));
  EXPECT_TRUE(kv.can_ever_hold(12));
  EXPECT_FALSE(kv.can_ever_hold(13));
  EXPECT_FALSE(kv.can_ever_hold(int64_t{1} << 40));
}

TEST(KvCacheManager, ARefusedAdmissionGivesCachedBlocksBack) {
  KvCacheManager kv(options(1 + 4, 4));
  const std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
  BlockTable a;
  kv.begin(a, "", 0);
  ASSERT_TRUE(kv.admit(a, tokens, 0));
  kv.publish(a, tokens, 9);
  kv.release(a);
  EXPECT_EQ(kv.num_cached(), 2);
  BlockTable other;
  ASSERT_TRUE(kv.extend(other, 8));
  EXPECT_EQ(kv.num_cached(), 2);  // what was never used went first
  const std::vector<TokenId> longer{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  BlockTable b;
  kv.begin(b, "", 0);
  ASSERT_EQ(kv.lookup(b, longer).num_blocks, 2);
  EXPECT_FALSE(kv.admit(b, longer, 2));
  EXPECT_EQ(kv.lookup(b, longer).num_blocks, 2);
  EXPECT_TRUE(kv.check_invariants({&other, &b}));
  kv.release(other);
  ASSERT_TRUE(kv.admit(b, longer, 2));
  EXPECT_EQ(b.blocks.size(), 4U);
}

TEST(KvCacheManager, WhatIsPublishedTwiceIsFoundOnce) {
  KvCacheManager kv(options(20, 4));
  const std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
  BlockTable a;
  BlockTable b;
  for (BlockTable* t : {&a, &b}) {
    kv.begin(*t, "", 0);
    ASSERT_TRUE(kv.admit(*t, tokens, 0));
  }
  kv.publish(a, tokens, 4);
  kv.publish(b, tokens, 9);
  kv.publish(a, tokens, 9);
  EXPECT_EQ(kv.num_cached(), 2);
  BlockTable c;
  kv.begin(c, "", 0);
  EXPECT_EQ(kv.lookup(c, tokens).num_blocks, 2);
  EXPECT_TRUE(kv.check_invariants({&a, &b, &c}));
}

TEST(KvCacheManager, PendingBlocksAreSeenUntilTheyArePublishedOrGivenUp) {
  KvCacheManager kv(options(20, 4));
  const std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
  BlockTable a;
  BlockTable b;
  kv.begin(a, "", 0);
  kv.begin(b, "", 0);
  ASSERT_TRUE(kv.admit(a, tokens, 0));
  EXPECT_TRUE(kv.lookup(b, tokens).pending);
  kv.publish(a, tokens, 4);
  EXPECT_EQ(kv.lookup(b, tokens).num_blocks, 1);
  EXPECT_TRUE(kv.lookup(b, tokens).pending);
  kv.release(a);
  EXPECT_EQ(kv.lookup(b, tokens).num_blocks, 1);
  EXPECT_FALSE(kv.lookup(b, tokens).pending);
}

TEST(KvCacheManager, CheckInvariantsSeesALostOrDoubledTable) {
  KvCacheManager kv(options(4, 4));
  BlockTable a;
  ASSERT_TRUE(kv.extend(a, 4));
  EXPECT_TRUE(kv.check_invariants({&a}));
  EXPECT_FALSE(kv.check_invariants({}));
  EXPECT_FALSE(kv.check_invariants({&a, &a}));
}

// Every sequence is a prefix of few texts, so that blocks are found, shared, forgotten and reused all the
// time; a block that is found must hold the very tokens that were written there.
TEST(KvCacheManager, RandomUseFindsOnlyWhatIsThere) {
  std::mt19937 rng(3);
  for (int round = 0; round < 200; ++round) {
    const int block_size = 1 + static_cast<int>(rng() % 8);
    KvCacheOptions o = options(2 + static_cast<int>(rng() % 30), block_size);
    o.enable_prefix_caching = rng() % 4 != 0;
    o.key_bits = rng() % 2 == 0 ? 128 : 3;
    KvCacheManager kv(o);
    std::vector<std::vector<TokenId>> memory(static_cast<size_t>(o.num_blocks));  // what each block holds
    struct Seq {
      BlockTable table;
      std::vector<TokenId> tokens;
      int computed = 0;
      bool active = false;
    };
    std::vector<Seq> seqs(5);
    std::vector<const BlockTable*> all;
    for (const Seq& s : seqs) all.push_back(&s.table);
    const auto prefix_in = [&](const Seq& s, int block) {
      const auto end = static_cast<size_t>(std::min<int>((block + 1) * block_size, s.computed));
      return std::vector<TokenId>(s.tokens.begin(), s.tokens.begin() + static_cast<std::ptrdiff_t>(end));
    };
    for (int i = 0; i < 200; ++i) {
      Seq& s = seqs[rng() % seqs.size()];
      if (!s.active) {
        s = {};
        const auto length = 1 + rng() % 40;
        for (size_t t = 0; t < length; ++t) s.tokens.push_back(rng() % 8 == 0 ? 1 : 0);
        kv.begin(s.table, rng() % 3 == 0 ? "salt" : "", rng() % 2);
        const auto prefix = kv.lookup(s.table, s.tokens);
        ASSERT_LT(prefix.num_blocks * block_size, static_cast<int>(length));
        if (!kv.admit(s.table, s.tokens, prefix.num_blocks)) continue;
        s.active = true;
        s.computed = prefix.num_blocks * block_size;
        for (int b = 0; b < prefix.num_blocks; ++b)
          ASSERT_EQ(memory[static_cast<size_t>(s.table.blocks[static_cast<size_t>(b)].value)],
                    prefix_in(s, b));
      } else if (rng() % 5 == 0) {
        if (rng() % 6 == 0) kv.forget(s.table);
        kv.release(s.table);
        s.active = false;
      } else {
        s.computed = std::min(static_cast<int>(s.tokens.size()), s.computed + static_cast<int>(rng() % 12));
        for (int b = 0; b * block_size < s.computed; ++b) {
          auto& held = memory[static_cast<size_t>(s.table.blocks[static_cast<size_t>(b)].value)];
          if (held != prefix_in(s, b)) held = prefix_in(s, b);
        }
        kv.publish(s.table, s.tokens, s.computed);
        if (rng() % 30 == 0) kv.reset();
      }
      ASSERT_TRUE(kv.check_invariants(all)) << "round " << round << " step " << i;
    }
  }
}

}  // namespace
}  // namespace pegainfer
