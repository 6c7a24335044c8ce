#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/backend.h"

namespace pegainfer {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(CreateBackendTest, AutoAndCpu) {
  for (const char* device : {"auto", "cpu"}) {
    auto backend = create_backend({.device = device, .threads = 1});
    ASSERT_TRUE(backend);
    EXPECT_EQ((*backend)->name(), "cpu");
    EXPECT_THAT((*backend)->description(), HasSubstr("1 thread"));
    EXPECT_GT((*backend)->memory().available_bytes, 0U);
  }
}

TEST(CreateBackendTest, Checked) {
  auto backend = create_backend({.device = "cpu", .threads = 2, .check = true});
  ASSERT_TRUE(backend);
  EXPECT_THAT((*backend)->description(), EndsWith("2 threads), checked"));
}

TEST(CreateBackendTest, WhatThereIsNot) {
  const auto cuda = create_backend({.device = "cuda"});
  ASSERT_FALSE(cuda);
  EXPECT_EQ(cuda.error().code, Code::kUnsupported);
  EXPECT_THAT(cuda.error().message, HasSubstr("no CUDA backend; valid: auto, cpu"));
  const auto other = create_backend({.device = "tpu"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "device is 'tpu'; valid: auto, cpu, cuda");
  EXPECT_EQ(other.error().param, "device");
  const auto threads = create_backend({.threads = -1});
  ASSERT_FALSE(threads);
  EXPECT_EQ(threads.error().param, "threads");
}

}  // namespace
}  // namespace pegainfer
