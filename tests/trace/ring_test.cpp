#include <gtest/gtest.h>

#include <deque>

#include "trace/trace_data.h"

namespace pegainfer::trace {
namespace {

TEST(RingTest, KeepsTheLast) {
  for (const size_t capacity : {1U, 2U, 3U, 7U}) {
    Ring<int> ring(capacity);
    std::deque<int> expected;
    for (int i = 0; i < 25; ++i) {
      ring.push(i);
      expected.push_back(i);
      if (expected.size() > capacity) expected.pop_front();
      EXPECT_EQ(ring.last(), i);
      ASSERT_EQ(ring.size(), expected.size());
      EXPECT_EQ(ring.num_dropped(), static_cast<uint64_t>(i + 1) - expected.size());
      for (size_t k = 0; k < expected.size(); ++k) ASSERT_EQ(ring[k], expected[k]);
    }
  }
}

}  // namespace
}  // namespace pegainfer::trace
