// Places in the bounded queue: counted exactly, whoever takes them and in whatever order they end.
#include "engine/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace pegainfer {
namespace {

using ::testing::HasSubstr;

TEST(AdmissionQueue, WithoutLimitsEveryoneGetsIn) {
  AdmissionQueue queue({.max_running = 1});
  std::vector<std::unique_ptr<Admission>> places;
  for (int i = 0; i < 1000; ++i) {
    auto place = queue.reserve(1'000'000);
    ASSERT_TRUE(place);
    places.push_back(*std::move(place));
  }
  EXPECT_EQ(queue.num_requests(), 1000);
  EXPECT_EQ(queue.num_queued_tokens(), 1'000'000'000);
  places.clear();
  EXPECT_EQ(queue.num_requests(), 0);
  EXPECT_EQ(queue.num_queued_tokens(), 0);
  EXPECT_EQ(queue.num_rejected(), 0U);
}

TEST(AdmissionQueue, RequestsBeyondThoseThatRunAreLimited) {
  AdmissionQueue queue({.max_running = 2, .max_queued_requests = 3});
  std::vector<std::unique_ptr<Admission>> places;
  for (int i = 0; i < 5; ++i) places.push_back(*queue.reserve(10));
  const auto full = queue.reserve(10);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kResourceExhausted);
  EXPECT_EQ(full.error().type, "queue_full");
  EXPECT_THAT(full.error().message, HasSubstr("5 requests run or wait, and no more than 3 may wait"));
  EXPECT_EQ(queue.num_rejected(), 1U);
  EXPECT_EQ(queue.num_requests(), 5);  // a refusal takes nothing
  EXPECT_EQ(queue.num_queued_tokens(), 50);
  places[2]->start();  // it still counts as one of those that run or wait
  EXPECT_FALSE(queue.reserve(10));
  places.pop_back();
  EXPECT_TRUE(queue.reserve(10));
}

TEST(AdmissionQueue, TokensOfStartedRequestsNoLongerWait) {
  AdmissionQueue queue({.max_running = 8, .max_queued_tokens = 100});
  const auto a = *queue.reserve(60);
  const auto b = *queue.reserve(40);
  const auto full = queue.reserve(1);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().type, "queue_full");
  EXPECT_THAT(full.error().message, HasSubstr("100 prompt tokens wait, and no more than 100 may"));
  a->start();
  EXPECT_EQ(queue.num_queued_tokens(), 40);
  a->start();  // once is enough
  EXPECT_EQ(queue.num_queued_tokens(), 40);
  EXPECT_TRUE(queue.reserve(60));
  EXPECT_FALSE(queue.reserve(61));
}

TEST(AdmissionQueue, OneRequestIsAlwaysLetIntoAnEmptyQueue) {
  AdmissionQueue queue({.max_running = 8, .max_queued_tokens = 100});
  auto longest = *queue.reserve(5000);
  EXPECT_FALSE(queue.reserve(0));  // even one of nothing has to wait behind it
  longest->start();
  auto next = queue.reserve(5000);
  ASSERT_TRUE(next);
  next->reset();
  EXPECT_TRUE(queue.reserve(101));
}

TEST(AdmissionQueue, TheEstimateIsReplacedByThePromptsLength) {
  AdmissionQueue queue({.max_running = 8, .max_queued_tokens = 100});
  const auto place = *queue.reserve(90);
  EXPECT_FALSE(queue.reserve(20));
  place->set_num_tokens(30);
  EXPECT_EQ(queue.num_queued_tokens(), 30);
  const auto other = *queue.reserve(20);
  place->set_num_tokens(300);  // longer than thought: it is in, others wait
  EXPECT_EQ(queue.num_queued_tokens(), 320);
  EXPECT_FALSE(queue.reserve(1));
  place->start();
  place->set_num_tokens(7);  // too late to count
  EXPECT_EQ(queue.num_queued_tokens(), 20);
}

TEST(AdmissionQueue, PlacesOutliveTheQueue) {
  std::vector<std::unique_ptr<Admission>> places;
  {
    AdmissionQueue queue({.max_running = 2, .max_queued_requests = 8, .max_queued_tokens = 100});
    for (int i = 0; i < 4; ++i) places.push_back(*queue.reserve(10));
  }
  places[0]->set_num_tokens(20);
  places[1]->start();
  places.clear();  // what they count in is still there (ASan watches)
}

// Eight threads against one limit of requests and one of tokens. Each place taken is counted here as well, so
// an overrun shows at the moment it happens.
TEST(AdmissionQueue, ConcurrentReserversNeverExceedTheLimits) {
  constexpr int kRunning = 3;
  constexpr int kQueued = 4;
  constexpr int kMaxTokens = 60;
  AdmissionQueue queue(
      {.max_running = kRunning, .max_queued_requests = kQueued, .max_queued_tokens = kMaxTokens});
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> refused{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 rng(t);
      std::vector<std::unique_ptr<Admission>> mine;
      for (int i = 0; i < 4000; ++i) {
        auto place = queue.reserve(1 + static_cast<int>(rng() % 20));
        if (place) {
          ++accepted;
          const int now = ++held;
          for (int old = most; now > old && !most.compare_exchange_weak(old, now);) {
          }
          mine.push_back(*std::move(place));
        } else {
          ++refused;
        }
        EXPECT_LE(queue.num_queued_tokens(), kMaxTokens);
        if (!mine.empty() && rng() % 2 == 0) mine.back()->start();
        if (!mine.empty() && rng() % 3 != 0) {
          --held;  // before the place is free
          mine.pop_back();
        }
      }
      held -= static_cast<int>(mine.size());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, kRunning + kQueued);
  EXPECT_GT(most, 1);
  EXPECT_EQ(queue.num_rejected(), refused);
  EXPECT_EQ(accepted + refused, 8U * 4000U);
  EXPECT_EQ(queue.num_requests(), 0);
  EXPECT_EQ(queue.num_queued_tokens(), 0);
}

}  // namespace
}  // namespace pegainfer
