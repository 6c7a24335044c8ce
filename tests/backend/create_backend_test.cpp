#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "backend/backend.h"

namespace pegainfer {
namespace {

using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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

// Sets the variable that names the module, for a test.
class ModuleVariable {
 public:
  explicit ModuleVariable(const char* path) { setenv(kName, path, 1); }
  ~ModuleVariable() { unsetenv(kName); }
  ModuleVariable(const ModuleVariable&) = delete;
  ModuleVariable& operator=(const ModuleVariable&) = delete;

 private:
  static constexpr const char* kName = "PEGAINFER_CUDA_MODULE";
};

TEST(CreateBackendTest, WhatThereIsNot) {
  const auto cuda = create_backend({.device = "cuda"});  // there is no module beside the tests
  ASSERT_FALSE(cuda);
  EXPECT_EQ(cuda.error().code, Code::kUnsupported);
  EXPECT_EQ(cuda.error().param, "device");
  EXPECT_THAT(cuda.error().message,
              HasSubstr("device is cuda, but this build has no CUDA backend; looked for /"));
  EXPECT_THAT(cuda.error().message, EndsWith("libpegainfer_cuda.so; valid here: auto, cpu"));
  for (const char* device : {"tpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda1", ""}) {
    const auto other = create_backend({.device = device});
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().message,
              fmt::format("device is '{}'; valid: auto, cpu, cuda, cuda:<index>", device));
    EXPECT_EQ(other.error().param, "device");
  }
  const auto threads = create_backend({.threads = -1});
  ASSERT_FALSE(threads);
  EXPECT_EQ(threads.error().param, "threads");
}

TEST(CreateBackendTest, AModuleThatIsNamedButNotThere) {
  const ModuleVariable variable("/nowhere/libpegainfer_cuda.so");
  const auto cuda = create_backend({.device = "cuda:1"});
  ASSERT_FALSE(cuda);
  EXPECT_THAT(cuda.error().message,
              StartsWith("device is cuda:1, but PEGAINFER_CUDA_MODULE names /nowhere/"));
  const auto by_itself = create_backend({.device = "auto", .threads = 1});
  ASSERT_TRUE(by_itself);
  EXPECT_EQ((*by_itself)->name(), "cpu");
}

// What is no module is refused, before or after the question whether there is a driver.
TEST(CreateBackendTest, AModuleThatIsNone) {
  const ModuleVariable variable("/proc/self/exe");
  const auto cuda = create_backend({.device = "cuda"});
  ASSERT_FALSE(cuda);
  EXPECT_EQ(cuda.error().code, Code::kUnsupported);
  EXPECT_THAT(cuda.error().message,
              AnyOf(HasSubstr("there is no NVIDIA driver"), HasSubstr("cannot be loaded")));
}

// The module of this build, when there is one: a backend, or words for what this machine lacks.
TEST(CreateBackendTest, TheModuleOfThisBuild) {
  const std::string path = PEGA_BINARY_DIR "/src/apps/libpegainfer_cuda.so";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "built without CUDA";
  const ModuleVariable variable(path.c_str());
  const auto cuda = create_backend({.device = "cuda"});
  if (cuda) {
    EXPECT_EQ((*cuda)->name(), "cuda");
  } else {
    EXPECT_THAT(cuda.error().message, AnyOf(HasSubstr("there is no NVIDIA driver"), HasSubstr("libcublasLt"),
                                            HasSubstr("no CUDA device can be used")));
  }
}

}  // namespace
}  // namespace pegainfer
