// resolve_model_path: paths and names in the Hugging Face cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using testing::Folder;
using ::testing::HasSubstr;

// The variables that say where the cache is, cleared, and put back at the end.
class HubTest : public ::testing::Test {
 protected:
  HubTest() {
    for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      saved_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      ::unsetenv(name);
    }
  }
  ~HubTest() override {
    for (const auto& [name, value] : saved_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }
  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  // A cached repository with one snapshot that refs/main names; gives the snapshot's path.
  std::string add_snapshot(const std::string& cache, const std::string& folder_name,
                           const std::string& commit, const std::string& ref = "main") const {
    const std::string base = cache + (cache.empty() ? "" : "/") + folder_name;
    folder_.write(base + "/refs/" + ref, commit);
    folder_.write(base + "/blobs/abc", "{}");
    const std::filesystem::path snapshot = folder_.path() / base / "snapshots" / commit;
    std::filesystem::create_directories(snapshot);
    std::filesystem::create_symlink("../../blobs/abc", snapshot / "config.json");
    return snapshot.string();
  }
  static std::string error_of(const std::string& name) {
    const auto path = resolve_model_path(name);
    return path ? "found " + *path : path.error().message;
  }

  Folder folder_;

 private:
  std::map<std::string, std::optional<std::string>> saved_;
};

TEST_F(HubTest, AnExistingPathIsItself) {
  const std::string file = folder_.write("x.gguf", "x");
  EXPECT_EQ(*resolve_model_path(file), file);
  EXPECT_EQ(*resolve_model_path(folder_.path().string()), folder_.path().string());
}

TEST_F(HubTest, NamesAreLookedUpAtTheRevision) {
  const std::string main = add_snapshot("hub", "models--org--name", "c0ffee");
  const std::string tag = add_snapshot("hub", "models--org--name", "beef", "v1.0");
  const std::string pull = add_snapshot("hub", "models--org--name", "dead", "refs/pr/1");
  const std::string plain = add_snapshot("hub", "models--gpt2", "f00d");
  set("HF_HUB_CACHE", folder_.at("hub"));
  EXPECT_EQ(*resolve_model_path("org/name"), main);
  EXPECT_EQ(*resolve_model_path("org/name@main"), main);
  EXPECT_EQ(*resolve_model_path("org/name@v1.0"), tag);
  EXPECT_EQ(*resolve_model_path("org/name@refs/pr/1"), pull);
  EXPECT_EQ(*resolve_model_path("org/name@c0ffee"), main);  // a commit
  EXPECT_EQ(*resolve_model_path("gpt2"), plain);
  EXPECT_TRUE(std::filesystem::exists(main + "/config.json"));  // through the link
}

TEST_F(HubTest, WhereTheCacheIs) {
  add_snapshot("a", "models--o--n", "1a");
  add_snapshot("b/hub", "models--o--n", "1b");
  add_snapshot("c/huggingface/hub", "models--o--n", "1c");
  add_snapshot("d/.cache/huggingface/hub", "models--o--n", "1d");
  EXPECT_THAT(error_of("o/n"), HasSubstr("HOME"));
  set("HOME", folder_.at("d"));
  EXPECT_THAT(error_of("o/n"), HasSubstr("snapshots/1d"));
  set("XDG_CACHE_HOME", folder_.at("c"));
  EXPECT_THAT(error_of("o/n"), HasSubstr("snapshots/1c"));
  set("HF_HOME", folder_.at("b"));
  EXPECT_THAT(error_of("o/n"), HasSubstr("snapshots/1b"));
  set("HF_HUB_CACHE", folder_.at("a"));
  EXPECT_THAT(error_of("o/n"), HasSubstr("snapshots/1a"));
}

TEST_F(HubTest, ErrorsSayWhereWasLooked) {
  add_snapshot("hub", "models--org--name", "c0ffee");
  set("HF_HUB_CACHE", folder_.at("hub"));
  EXPECT_THAT(error_of("org/other"), HasSubstr(folder_.at("hub")));
  EXPECT_THAT(error_of("org/name@v9"), HasSubstr("revision \"v9\" is not in"));
  EXPECT_EQ(resolve_model_path("org/other").error().code, Code::kNotFound);
  std::filesystem::remove_all(folder_.at("hub/models--org--name/snapshots"));
  EXPECT_THAT(error_of("org/name"), HasSubstr("snapshots/c0ffee"));
}

TEST_F(HubTest, NamesThatClimbAreNoNames) {
  add_snapshot("hub", "models--org--name", "c0ffee");
  std::filesystem::create_directories(folder_.at("hub/secret"));
  set("HF_HUB_CACHE", folder_.at("hub"));
  for (const std::string name : {"",
                                 "../secret",
                                 "org/..",
                                 "../../no/such",
                                 "org/name/x",
                                 "org//name",
                                 "/no/such/path",
                                 "./no",
                                 "org/name@",
                                 "org/name@../../secret",
                                 "org/name@a//b",
                                 "org/name@/etc",
                                 "org/name@refs/../../x",
                                 ".hidden/x",
                                 "a--b/c",
                                 "org/na me",
                                 "org/name\n",
                                 "org/n\xc3\xa4me",
                                 "~/x",
                                 "org\\name",
                                 "-rf/x"}) {
    const auto path = resolve_model_path(name);
    EXPECT_FALSE(path.has_value()) << name;
  }
  EXPECT_FALSE(resolve_model_path(std::string("a\0b", 3)).has_value());
  EXPECT_FALSE(resolve_model_path(std::string(5000, 'a')).has_value());
}

TEST_F(HubTest, ARefThatNamesAPathIsRefused) {
  for (const std::string commit : {"../../../secret", "/etc", "a/b", ".."}) {
    folder_.write("hub/models--org--name/refs/main", commit);
    set("HF_HUB_CACHE", folder_.at("hub"));
    EXPECT_THAT(error_of("org/name"), HasSubstr("expected the name of a commit")) << commit;
  }
}

}  // namespace
}  // namespace pegainfer
