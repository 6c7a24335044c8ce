#include "tokenizer/merges.h"

#include <gtest/gtest.h>

#include <random>

namespace pegainfer {
namespace {

// The definition, step by step.
std::vector<TokenId> naive(const MergeTable& table, std::vector<TokenId> ids) {
  while (true) {
    size_t best = ids.size();
    MergeTable::Rule rule;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i + 1] < 0) continue;
      const auto r = table.find(ids[i], ids[i + 1]);
      if (r.rank < rule.rank) {
        rule = r;
        best = i;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = rule.result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Merges, ShortAndLongWayFollowTheDefinition) {
  std::mt19937 rng(2);
  std::uniform_int_distribution<TokenId> id(0, 40);
  MergeTable::Scratch scratch;
  for (int round = 0; round < 300; ++round) {
    MergeTable table;
    // Ranks in any order, and some equal, as scores may be.
    for (int i = 0; i < 250; ++i) table.add(id(rng), id(rng), static_cast<uint32_t>(id(rng)), id(rng) % 41);
    for (const size_t n : {1U, 2U, 7U, 40U, 41U, 200U}) {
      std::vector<TokenId> ids(n);
      for (TokenId& x : ids) x = id(rng) % 8 - (round % 2);
      std::vector<TokenId> got = ids;
      table.apply(got, scratch);
      ASSERT_EQ(got, naive(table, ids)) << "round " << round << ", " << n << " symbols";
    }
  }
}

TEST(Merges, TheLaterOfEqualPairsCounts) {
  MergeTable table;
  table.add(1, 2, 0, 3);
  table.add(1, 2, 9, 4);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_EQ(table.find(1, 2).rank, 9U);
  EXPECT_EQ(table.find(1, 2).result, 4);
  EXPECT_EQ(table.find(2, 1).rank, MergeTable::kNoRank);
}

}  // namespace
}  // namespace pegainfer
