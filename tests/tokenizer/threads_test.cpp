// One tokenizer is every thread's. A test binary of its own: the others of this folder have nothing for
// ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tokenizer/small_tokenizers.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

using testing::encode;
using testing::load;

TEST(TokenizerThreads, ManyThreadsOneTokenizer) {
  const auto t = load(testing::byte_level_json());
  const std::string text = "the world, the <think> 日本 ing é aaaa";
  const std::vector<TokenId> expected = encode(*t, text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k)
        wrong += encode(*t, text) == expected && t->decode(expected, false) == text ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace pegainfer
