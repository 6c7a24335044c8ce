#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace pegainfer {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() : dir_(std::filesystem::temp_directory_path() / ("pega_file_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(dir_);
  }
  ~FileTest() override { std::filesystem::remove_all(dir_); }
  std::string write(const std::string& name, std::string_view text) {
    const auto path = dir_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  std::filesystem::path dir_;
};

TEST_F(FileTest, ReadsAnyRange) {
  const auto file = File::open(write("a", "0123456789"));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size(), 10U);
  std::array<char, 4> out{};
  ASSERT_TRUE(file->read(3, std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(std::string_view(out.data(), 4), "3456");
}

TEST_F(FileTest, ReadingPastTheEndIsAnErrorThatSaysWhere) {
  const auto file = File::open(write("a", "0123456789"));
  std::array<char, 8> out{};
  const auto status = file->read(5, std::as_writable_bytes(std::span(out)));
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("ends at byte 10"), std::string::npos) << status.error().message;
}

TEST_F(FileTest, OpenRefusesDirectoriesAndMissingFiles) {
  EXPECT_EQ(File::open(dir_.string()).error().code, Code::kInvalidArgument);
  EXPECT_NE(File::open(dir_.string()).error().message.find("directory"), std::string::npos);
  EXPECT_EQ(File::open((dir_ / "none").string()).error().code, Code::kNotFound);
}

TEST_F(FileTest, TextFilesAreBounded) {
  const std::string path = write("t", "hello");
  EXPECT_EQ(*read_text_file(path, 5), "hello");
  EXPECT_FALSE(read_text_file(path, 4));
}

}  // namespace
}  // namespace pegainfer
