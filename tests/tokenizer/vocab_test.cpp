#include "tokenizer/vocab.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace pegainfer {
namespace {

TEST(Vocab, FindsWhatWasAdded) {
  Vocab vocab(false);
  for (int i = 0; i < 5000; ++i) vocab.add(fmt::format("t{}", i), i * 2);
  EXPECT_EQ(vocab.size(), 9999);
  EXPECT_EQ(vocab.num_tokens(), 5000);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(vocab.find_token(fmt::format("t{}", i)), i * 2);
    ASSERT_EQ(vocab.token(i * 2), fmt::format("t{}", i));
    ASSERT_FALSE(vocab.has(i * 2 + 1));
  }
  EXPECT_EQ(vocab.find_token("t5000"), -1);
  EXPECT_EQ(vocab.find_token(""), -1);
}

TEST(Vocab, ByteLevelTokensAreRawBytes) {
  Vocab vocab(true);
  vocab.add("Ġthe", 0);
  vocab.add("日", 1);   // not of the alphabet: kept as it is
  vocab.add("æĹ¥", 2);  // the same character's three bytes
  EXPECT_EQ(vocab.form(0), " the");
  EXPECT_EQ(vocab.token(0), "Ġthe");
  EXPECT_FALSE(vocab.is_raw(1));
  EXPECT_EQ(vocab.token(1), "日");
  EXPECT_EQ(vocab.form(2), "日");
  EXPECT_EQ(vocab.find_form("日"), 2);
  EXPECT_EQ(vocab.find_token("日"), 1);
  EXPECT_EQ(vocab.find_token("æĹ¥"), 2);
  EXPECT_EQ(vocab.find_token(" the"), -1);
}

}  // namespace
}  // namespace pegainfer
