// What requests share: prefixes that are there, prefixes that another is computing, choices of one prompt.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "scheduler/harness.h"
#include "scheduler/scheduler.h"

namespace pegainfer {
namespace {

using pegainfer::testing::expect_alone;
using pegainfer::testing::Harness;

std::vector<TokenId> prompt_of(int length, TokenId first = 1) {
  std::vector<TokenId> p(static_cast<size_t>(length));
  std::iota(p.begin(), p.end(), first);
  return p;
}

SamplingParams tokens(int max_tokens) {
  SamplingParams p;
  p.max_tokens = max_tokens;
  p.ignore_eos = true;
  p.seed = 5;
  return p;
}

int num_computed(const StepPlan& plan, uint64_t id) {
  for (const ScheduledSeq& seq : plan.seqs)
    if (seq.id.value == id) return seq.num_tokens;
  return 0;
}

TEST(PrefixCache, ARepeatedPromptComputesOnlyItsEnd) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 256}, {.block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(22), tokens(3)));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].finish->usage.cached_tokens, 0);
  ASSERT_TRUE(h.add(2, prompt_of(22), tokens(3)));
  EXPECT_EQ(num_computed(h.step(), 2), 2);
  h.run_until_idle();
  EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 20);
  EXPECT_EQ(h.told[2].tokens, h.told[1].tokens);
  EXPECT_EQ(h.scheduler.counters().prefix_cache_queries, 44U);
  EXPECT_EQ(h.scheduler.counters().prefix_cache_hits, 20U);
}

TEST(PrefixCache, OneTokenIsAlwaysLeftToCompute) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 256}, {.block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(20), tokens(1)));
  h.run_until_idle();
  ASSERT_TRUE(h.add(2, prompt_of(20), tokens(1)));
  EXPECT_EQ(num_computed(h.step(), 2), 4);  // a whole block: its last row gives the token
  h.run_until_idle();
  EXPECT_EQ(h.told[2].tokens, h.told[1].tokens);
}

TEST(PrefixCache, OutputCanBeThePrefixOfTheNextTurn) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 256}, {.block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(6), tokens(7)));
  h.run_until_idle();
  std::vector<TokenId> next = prompt_of(6);
  next.insert(next.end(), h.told[1].tokens.begin(), h.told[1].tokens.end());
  next.push_back(99);
  ASSERT_TRUE(h.add(2, next, tokens(1)));
  h.run_until_idle();
  EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 12);  // of 6 + 7: the last token's KV was never computed
}

TEST(PrefixCache, OffMeansOff) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 256, .enable_prefix_caching = false},
            {.block_size = 4});
  for (uint64_t id = 1; id <= 2; ++id) {
    ASSERT_TRUE(h.add(id, prompt_of(22), tokens(3)));
    h.run_until_idle();
    EXPECT_EQ(h.told[id].finish->usage.cached_tokens, 0);
  }
  EXPECT_EQ(h.scheduler.kv().num_cached(), 0);
}

TEST(PrefixCache, SaltsDoNotShare) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 256}, {.block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(22), tokens(3), {.cache_salt = "a"}));
  h.run_until_idle();
  ASSERT_TRUE(h.add(2, prompt_of(22), tokens(3), {.cache_salt = "b"}));
  ASSERT_TRUE(h.add(3, prompt_of(22), tokens(3)));
  ASSERT_TRUE(h.add(4, prompt_of(22), tokens(3), {.cache_salt = "a"}));
  h.run_until_idle();
  EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 0);
  EXPECT_EQ(h.told[3].finish->usage.cached_tokens, 0);
  EXPECT_EQ(h.told[4].finish->usage.cached_tokens, 20);
}

TEST(PrefixCache, APrefixBeingComputedIsWaitedFor) {
  for (const int depth : {1, 2}) {
    Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64},
              {.num_kv_blocks = 200, .block_size = 4, .depth = depth});
    std::vector<TokenId> other = prompt_of(80);
    other.push_back(500);
    ASSERT_TRUE(h.add(1, prompt_of(90), tokens(2)));
    ASSERT_TRUE(h.add(2, other, tokens(2)));
    ASSERT_TRUE(h.add(3, prompt_of(8, 700), tokens(2)));  // has nothing to wait for
    const StepPlan first = h.step();
    EXPECT_EQ(num_computed(first, 2), 0);
    EXPECT_EQ(num_computed(first, 3), 8);
    h.run_until_idle();
    EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 80);
    EXPECT_EQ(h.told[2].tokens, expect_alone(h.executor(), {}, other, tokens(2)).tokens);
  }
}

TEST(PrefixCache, WhoWaitsForACancelledOneComputesTheRestItself) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 16}, {.num_kv_blocks = 200, .block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(90), tokens(2)));
  ASSERT_TRUE(h.add(2, prompt_of(90), tokens(2)));
  h.step();
  h.step();
  h.cancel(1);
  h.run_until_idle();
  EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 32);  // what the first one left
  EXPECT_EQ(h.told[2].tokens, expect_alone(h.executor(), {}, prompt_of(90), tokens(2)).tokens);
}

TEST(PrefixCache, ChoicesShareTheirPromptEvenWithoutACache) {
  for (const bool caching : {true, false}) {
    Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64, .enable_prefix_caching = caching},
              {.num_kv_blocks = 60, .block_size = 4});
    SamplingParams p = tokens(9);
    int rows = 0;
    for (uint64_t id = 1; id <= 4; ++id) {
      p.seed = id;
      ASSERT_TRUE(h.add(id, prompt_of(40), p, {.group = 7}));
    }
    while (!h.scheduler.idle()) rows += h.step().num_tokens;
    EXPECT_EQ(rows, 40 + 3 * 4 + 4 * 8);  // the others compute their last block, all but one token decodes
    for (uint64_t id = 1; id <= 4; ++id) {
      p.seed = id;
      EXPECT_EQ(h.told[id].tokens, expect_alone(h.executor(), {}, prompt_of(40), p).tokens);
    }
    if (!caching) {
      EXPECT_EQ(h.scheduler.kv().num_cached(), 0);
    }
  }
}

TEST(PrefixCache, ResetForgetsWhatIsThereAndWhatIsUnderWay) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 16}, {.num_kv_blocks = 200, .block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(64), tokens(8)));
  h.step();
  h.step();
  h.scheduler.reset_prefix_cache();
  h.run_until_idle();
  EXPECT_EQ(h.scheduler.kv().num_cached(), 0);
  ASSERT_TRUE(h.add(2, prompt_of(64), tokens(8)));
  h.run_until_idle();
  EXPECT_EQ(h.told[2].finish->usage.cached_tokens, 0);
  EXPECT_EQ(h.told[2].tokens, h.told[1].tokens);
}

TEST(PrefixCache, ANanRowPublishesNothing) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 16},
            {.num_kv_blocks = 200, .block_size = 4, .choose = [](uint64_t, int position) {
               return position == 42 ? -1 : position;
             }});
  ASSERT_TRUE(h.add(1, prompt_of(40), tokens(8)));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kError);
  EXPECT_EQ(h.scheduler.kv().num_cached(), 0);
}

TEST(PrefixCache, CachedBlocksAreReusedOldestFirstWhenSpaceIsNeeded) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64}, {.num_kv_blocks = 1 + 12, .block_size = 4});
  ASSERT_TRUE(h.add(1, prompt_of(17), tokens(1)));  // leaves 4 cached blocks
  h.run_until_idle();
  ASSERT_TRUE(h.add(2, prompt_of(17, 100), tokens(1)));  // 4 more
  h.run_until_idle();
  ASSERT_TRUE(h.add(3, prompt_of(32, 200), tokens(1)));  // 8 blocks: 4 never used, then the oldest
  h.run_until_idle();
  ASSERT_TRUE(h.add(4, prompt_of(17, 100), tokens(1)));
  h.run_until_idle();
  EXPECT_EQ(h.told[4].finish->usage.cached_tokens, 16);
  ASSERT_TRUE(h.add(5, prompt_of(17), tokens(1)));
  h.run_until_idle();
  EXPECT_EQ(h.told[5].finish->usage.cached_tokens, 0);
}

// Keys of two bits: almost every lookup meets another prefix's key.
TEST(PrefixCache, ACollisionIsNeverAHit) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64, .cache_key_bits = 2},
            {.num_kv_blocks = 100, .block_size = 4});
  for (uint64_t id = 1; id <= 40; ++id) {
    const auto prompt = prompt_of(5 + static_cast<int>(id), static_cast<TokenId>(10 * (id % 7)));
    ASSERT_TRUE(h.add(id, prompt, tokens(3)));
    h.run_until_idle();
    EXPECT_EQ(h.told[id].tokens, expect_alone(h.executor(), {}, prompt, tokens(3)).tokens);
  }
  EXPECT_GT(h.scheduler.counters().prefix_cache_hits, 0U);
}

}  // namespace
}  // namespace pegainfer
