#include "server/event_box.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.h"
#include "server/http/server.h"

namespace pegainfer {
namespace {

using server::EventBox;

// A server's thread with nothing to serve.
class EventBoxTest : public ::testing::Test {
 protected:
  EventBoxTest() {
    auto server = http::HttpServer::listen({.port = 0}, http::Router());
    CHECK(server.has_value(), "{}", server.error().message);
    server_ = *std::move(server);
    box_ = std::make_shared<EventBox>(server_->poster(), [this](EventBox::Item&& item) { on_item(item); });
  }

  void run() {
    thread_ = std::jthread([this] { server_->run(); });
  }
  void wait_for(size_t count) {
    while (num_delivered_ < count) std::this_thread::yield();
  }
  void stop() {
    server_->stop();
    thread_.join();
  }

  std::unique_ptr<http::HttpServer> server_;
  std::shared_ptr<EventBox> box_;
  std::jthread thread_;
  std::function<void()> on_first_;
  std::vector<uint64_t> jobs_;  // as delivered
  std::vector<size_t> choices_;
  std::atomic<size_t> num_delivered_{0};

 private:
  void on_item(const EventBox::Item& item) {
    if (jobs_.empty() && on_first_) on_first_();
    jobs_.push_back(item.job);
    choices_.push_back(item.choice);
    ++num_delivered_;
  }
};

TEST_F(EventBoxTest, WhatComesDuringABurstNeedNotWaitForItsEnd) {
  constexpr size_t kBurst = 4096;
  size_t delivered_before = kBurst;
  on_first_ = [&] { server_->poster().post([&] { delivered_before = num_delivered_; }); };
  for (uint64_t job = 0; job < kBurst; ++job) box_->put({.job = job});
  run();
  wait_for(kBurst);
  stop();
  EXPECT_LE(delivered_before, kBurst / 16);
  ASSERT_EQ(jobs_.size(), kBurst);
  for (uint64_t job = 0; job < kBurst; ++job) ASSERT_EQ(jobs_[job], job);
}

TEST_F(EventBoxTest, WakesAgainAfterItWasEmpty) {
  run();
  for (uint64_t job = 0; job < 200; ++job) {
    box_->put({.job = job});
    wait_for(job + 1);
  }
  stop();
  EXPECT_EQ(jobs_.size(), 200U);
}

TEST_F(EventBoxTest, DeliversAllOfSeveralThreadsEachInItsOrder) {
  constexpr uint64_t kThreads = 3;
  constexpr uint64_t kEach = 5000;
  run();
  {
    std::vector<std::jthread> threads;
    for (uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t] {
        for (uint64_t i = 0; i < kEach; ++i) box_->put({.job = i, .choice = t});
      });
    }
  }
  wait_for(kThreads * kEach);
  stop();
  std::array<uint64_t, kThreads> next{};
  for (size_t i = 0; i < jobs_.size(); ++i) ASSERT_EQ(jobs_[i], next.at(choices_[i])++);
  for (const uint64_t n : next) EXPECT_EQ(n, kEach);
}

}  // namespace
}  // namespace pegainfer
