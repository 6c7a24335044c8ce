#include "base/channel.h"

#include <gtest/gtest.h>

#include <thread>

namespace pegainfer {
namespace {

TEST(Channel, IsBoundedAndKeepsOrder) {
  Channel<int> channel(2);
  int a = 1;
  int b = 2;
  int c = 3;
  EXPECT_TRUE(channel.try_push(a));
  EXPECT_TRUE(channel.try_push(b));
  EXPECT_FALSE(channel.try_push(c));
  EXPECT_EQ(c, 3);
  EXPECT_EQ(channel.drain(), (std::vector<int>{1, 2}));
  EXPECT_TRUE(channel.drain().empty());
}

TEST(Channel, DeliversEverythingFromManyProducers) {
  Channel<int> channel(1 << 20);
  std::vector<std::jthread> producers;
  for (int p = 0; p < 4; ++p) {
    producers.emplace_back([&channel, p] {
      for (int i = 0; i < 1000; ++i) {
        int v = p * 1000 + i;
        ASSERT_TRUE(channel.try_push(v));
      }
    });
  }
  std::vector<int> last(4, -1);
  int received = 0;
  while (received < 4000) {
    for (const int v : channel.wait_drain({})) {
      const auto p = static_cast<size_t>(v / 1000);
      EXPECT_EQ(v % 1000, last[p] + 1);
      last[p] = v % 1000;
      ++received;
    }
  }
}

TEST(Channel, CloseAndStopWakeTheConsumer) {
  Channel<int> channel(1);
  std::jthread closer([&] { channel.close(); });
  EXPECT_TRUE(channel.wait_drain({}).empty());
  int v = 1;
  EXPECT_FALSE(channel.try_push(v));

  Channel<int> other(1);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_TRUE(other.wait_drain(stop.get_token()).empty());
}

}  // namespace
}  // namespace pegainfer
