#include "backend/algorithm_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace pegainfer {
namespace {

namespace fs = std::filesystem;

constexpr AlgorithmStore::Algorithm kFirst{1, 2, 3, 4, 5, 6, 7, ~uint64_t{0}};
constexpr AlgorithmStore::Algorithm kSecond{8, 0, 0, 0, 0, 0, 0, 9};
const AlgorithmStore::Key kKey{64, 2560, 9728, 2};
const AlgorithmStore::Key kOther{32, 6144, 2560, 0};

class AlgorithmStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "pegainfer-algorithms-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder_ / "new" / "choices.txt";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void save_two() {
    AlgorithmStore store(path_, "card A, library 1");
    store.put(kKey, kFirst);
    store.put(kOther, kSecond);
    ASSERT_TRUE(store.save().has_value());
  }
  std::string text() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(AlgorithmStoreTest, GivesBackWhatWasSaved) {
  EXPECT_FALSE(AlgorithmStore(path_, "card A, library 1").find(kKey));
  save_two();
  const AlgorithmStore again(path_, "card A, library 1");
  EXPECT_EQ(again.find(kKey), kFirst);
  EXPECT_EQ(again.find(kOther), kSecond);
  EXPECT_FALSE(again.find({64, 2560, 9728, 3}));
}

TEST_F(AlgorithmStoreTest, AnotherCardOrLibraryBeginsAnew) {
  save_two();
  AlgorithmStore other(path_, "card A, library 2");
  EXPECT_FALSE(other.find(kKey));
  other.put(kKey, kSecond);
  ASSERT_TRUE(other.save().has_value());
  EXPECT_EQ(AlgorithmStore(path_, "card A, library 2").find(kKey), kSecond);
  EXPECT_FALSE(AlgorithmStore(path_, "card A, library 1").find(kKey));
}

TEST_F(AlgorithmStoreTest, AFileCutShortOrSpoiltIsNone) {
  save_two();
  const std::string whole = text();
  for (size_t size = 0; size < whole.size() - 2; ++size) {
    std::ofstream(path_, std::ios::trunc) << whole.substr(0, size);
    ASSERT_FALSE(AlgorithmStore(path_, "card A, library 1").find(kKey)) << size;
  }
  std::string spoilt = whole;
  spoilt[spoilt.find("2560")] = 'x';
  std::ofstream(path_, std::ios::trunc) << spoilt;
  EXPECT_FALSE(AlgorithmStore(path_, "card A, library 1").find(kKey));
}

TEST_F(AlgorithmStoreTest, NothingIsWrittenWithoutNeed) {
  save_two();
  const auto when = fs::last_write_time(path_) - std::chrono::hours(1);
  fs::last_write_time(path_, when);
  AlgorithmStore store(path_, "card A, library 1");
  ASSERT_TRUE(store.save().has_value());
  EXPECT_EQ(fs::last_write_time(path_), when);
  EXPECT_EQ(std::distance(fs::directory_iterator(path_.parent_path()), {}), 1);  // no unfinished file
}

TEST_F(AlgorithmStoreTest, WhatCannotBeWrittenIsSaid) {
  std::ofstream(folder_ / "new") << "a file where a folder should be";
  AlgorithmStore store(path_, "card A, library 1");
  store.put(kKey, kFirst);
  const Status status = store.save();
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find(path_.string()), std::string::npos) << status.error().message;
  EXPECT_EQ(store.find(kKey), kFirst);
  AlgorithmStore nowhere("", "card A, library 1");
  nowhere.put(kKey, kFirst);
  EXPECT_TRUE(nowhere.save().has_value());
}

TEST_F(AlgorithmStoreTest, TheFolderIsTheUsersCache) {
  setenv("HOME", "/home/someone", 1);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("PEGAINFER_CACHE_DIR");
  EXPECT_EQ(AlgorithmStore::path_of("a"), "/home/someone/.cache/pegainfer/a");
  setenv("XDG_CACHE_HOME", "/var/cache/x", 1);
  EXPECT_EQ(AlgorithmStore::path_of("a"), "/var/cache/x/pegainfer/a");
  setenv("PEGAINFER_CACHE_DIR", "/data/p", 1);
  EXPECT_EQ(AlgorithmStore::path_of("a"), "/data/p/a");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("PEGAINFER_CACHE_DIR");
}

}  // namespace
}  // namespace pegainfer
