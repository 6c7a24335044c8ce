#include "trace/profiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "trace/trace_file.h"

namespace pegainfer::trace {
namespace {

namespace fs = std::filesystem;
using pegainfer::testing::read_trace;
using ::testing::HasSubstr;

class ProfilerTest : public ::testing::Test {
 protected:
  ProfilerTest() {
    std::string pattern = (fs::temp_directory_path() / "pegainfer-trace-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~ProfilerTest() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  fs::path folder_;
  std::shared_ptr<ChromeTrace> trace_ = std::make_shared<ChromeTrace>();
};

TEST_F(ProfilerTest, EachTraceIsAFileOfItsOwn) {
  auto profiler = Profiler::create(trace_, folder_ / "a" / "b");
  ASSERT_TRUE(profiler) << profiler.error().message;
  (*profiler)->set_model_name("tiny");
  EXPECT_EQ((*profiler)->stop().error().type, "profile_not_running");
  std::set<std::string> paths;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE((*profiler)->start());
    EXPECT_EQ((*profiler)->start().error().type, "profile_running");
    trace_->on_queued({.id = RequestId{7}, .name = "x"}, std::chrono::steady_clock::now());
    const auto path = (*profiler)->stop();
    ASSERT_TRUE(path) << path.error().message;
    const auto file = read_trace(read(*path));
    EXPECT_EQ(file.events.size(), 1U);
    EXPECT_EQ(file.other_texts.at("model"), "tiny");
    EXPECT_THAT(file.other_texts.at("began"), ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
    paths.insert(*path);
  }
  EXPECT_EQ(paths.size(), 2U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "a" / "b"), {}), 2);  // nothing partial is left
}

TEST_F(ProfilerTest, ARunningTraceIsWrittenAtTheEnd) {
  {
    auto profiler = Profiler::create(trace_, folder_);
    ASSERT_TRUE(profiler && (*profiler)->start());
  }
  ASSERT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  (void)read_trace(read(fs::directory_iterator(folder_)->path()));
}

TEST_F(ProfilerTest, AFolderThatCannotBeOneIsRefused) {
  const fs::path file = folder_ / "file";
  std::ofstream(file) << "x";
  for (const fs::path& bad : {file, file / "below"}) {
    const auto profiler = Profiler::create(trace_, bad);
    ASSERT_FALSE(profiler);
    EXPECT_EQ(profiler.error().code, Code::kInvalidArgument);
    EXPECT_THAT(profiler.error().message, HasSubstr("--trace-dir " + bad.string()));
  }
}

TEST_F(ProfilerTest, AFailedWriteIsAnError) {
  auto profiler = Profiler::create(trace_, folder_ / "gone");
  ASSERT_TRUE(profiler && (*profiler)->start());
  fs::remove_all(folder_ / "gone");
  const auto path = (*profiler)->stop();
  ASSERT_FALSE(path);
  EXPECT_THAT(path.error().message, HasSubstr("cannot write"));
}

}  // namespace
}  // namespace pegainfer::trace
