// StepTokens: a small vector whose first kInline elements cost no allocation.
#include <gtest/gtest.h>

#include <numeric>
#include <utility>
#include <vector>

#include "pegainfer/engine.h"

namespace pegainfer {
namespace {

std::vector<TokenId> ascending(size_t count) {
  std::vector<TokenId> out(count);
  std::iota(out.begin(), out.end(), 100);
  return out;
}

TEST(StepTokens, HoldsAnyNumberInOrder) {
  for (const size_t count : {0U, 1U, 7U, 8U, 9U, 10U, 100U}) {
    const std::vector<TokenId> expected = ascending(count);
    StepTokens tokens;
    for (const TokenId t : expected) tokens.push_back(t);
    EXPECT_EQ(tokens.size(), count);
    EXPECT_EQ(tokens.empty(), count == 0);
    EXPECT_EQ(std::vector<TokenId>(tokens.begin(), tokens.end()), expected) << count;
    EXPECT_EQ(tokens, StepTokens(expected));
    if (count == 0) continue;
    EXPECT_EQ(tokens.front(), 100);
    EXPECT_EQ(tokens.back(), static_cast<TokenId>(99 + count));
    EXPECT_EQ(tokens[count / 2], static_cast<TokenId>(100 + count / 2));
  }
}

TEST(StepTokens, ComparesByContent) {
  EXPECT_EQ((StepTokens{1, 2}), (StepTokens{1, 2}));
  EXPECT_NE((StepTokens{1, 2}), (StepTokens{1, 3}));
  EXPECT_NE((StepTokens{1, 2}), (StepTokens{1}));
  EXPECT_NE(StepTokens(ascending(9)), StepTokens(ascending(8)));
}

TEST(StepTokens, CopiesAndMovesStandOnTheirOwn) {
  for (const size_t count : {3U, 8U, 20U}) {
    const std::vector<TokenId> expected = ascending(count);
    StepTokens original(expected);
    StepTokens copy = original;
    original.push_back(7);
    EXPECT_EQ(copy, StepTokens(expected));
    EXPECT_EQ(original.size(), count + 1);
    EXPECT_EQ(original.back(), 7);
    const StepTokens moved = std::move(copy);
    EXPECT_EQ(moved, StepTokens(expected));
    EXPECT_EQ(std::vector<TokenId>(moved.begin(), moved.end()), expected);
  }
}

TEST(StepTokens, WhatWasMovedFromMayBeAssignedAgain) {
  for (const size_t count : {3U, 20U}) {
    StepTokens tokens(ascending(count));
    const StepTokens taken = std::move(tokens);
    EXPECT_EQ(taken.size(), count);
    tokens = StepTokens();  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(tokens.empty());
    tokens.push_back(5);
    EXPECT_EQ(tokens, StepTokens{5});
  }
}

}  // namespace
}  // namespace pegainfer
