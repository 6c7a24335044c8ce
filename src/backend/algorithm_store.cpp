#include "backend/algorithm_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/environment.h"
#include "base/file.h"

namespace pegainfer {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 20;
constexpr const char* kFirstLine = "pegainfer algorithms 1";

// Lines: the first, the identity, one a choice, and their number.
std::optional<std::map<AlgorithmStore::Key, AlgorithmStore::Algorithm>> parse(const std::string& text,
                                                                              const std::string& identity) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != kFirstLine) return std::nullopt;
  if (!std::getline(lines, line) || line != identity) return std::nullopt;
  std::map<AlgorithmStore::Key, AlgorithmStore::Algorithm> out;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    if (line.starts_with("end ")) {
      std::string end;
      size_t count = 0;
      words >> end >> count;
      return words && count == out.size() ? std::optional(std::move(out)) : std::nullopt;
    }
    int64_t rows = 0;
    int64_t n = 0;
    int64_t cols = 0;
    int kind = 0;
    AlgorithmStore::Algorithm algorithm{};
    words >> rows >> n >> cols >> kind >> std::hex;
    for (uint64_t& word : algorithm) words >> word;
    if (!words) return std::nullopt;
    out[{rows, n, cols, kind}] = algorithm;
  }
  return std::nullopt;
}

}  // namespace

AlgorithmStore::AlgorithmStore(std::string path, std::string identity)
    : path_(std::move(path)), identity_(std::move(identity)) {
  if (path_.empty()) return;
  const Result<std::string> text = read_text_file(path_, kMaxFileBytes);
  if (!text) return;
  if (auto known = parse(*text, identity_)) algorithms_ = *std::move(known);
}

std::optional<AlgorithmStore::Algorithm> AlgorithmStore::find(const Key& key) const {
  const auto found = algorithms_.find(key);
  return found == algorithms_.end() ? std::nullopt : std::optional(found->second);
}

void AlgorithmStore::put(const Key& key, const Algorithm& algorithm) {
  algorithms_[key] = algorithm;
  changed_ = true;
}

Status AlgorithmStore::save() {
  if (path_.empty() || !changed_) return ok_status();
  std::string text = fmt::format("{}\n{}\n", kFirstLine, identity_);
  for (const auto& [key, algorithm] : algorithms_) {
    const auto& [rows, n, cols, kind] = key;
    text += fmt::format("{} {} {} {}", rows, n, cols, kind);
    for (const uint64_t word : algorithm) text += fmt::format(" {:x}", word);
    text += '\n';
  }
  text += fmt::format("end {}\n", algorithms_.size());

  const auto failed = [&](const std::string& why) {
    return Error{Code::kUnavailable, fmt::format("cannot write {}: {}", path_, why), {}, {}};
  };
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  if (error) return failed(error.message());
  const std::string unfinished = fmt::format("{}.{}", path_, getpid());
  std::ofstream file(unfinished, std::ios::trunc);
  file << text;
  file.close();
  if (file) fs::rename(unfinished, path_, error);
  if (!file || error) {
    const std::string why = error ? error.message() : "the disk is full, or the folder is not ours to write";
    fs::remove(unfinished, error);
    return failed(why);
  }
  changed_ = false;
  return ok_status();
}

std::string AlgorithmStore::path_of(const std::string& name) {
  if (const auto folder = environment("PEGAINFER_CACHE_DIR")) return fs::path(*folder) / name;
  if (const auto folder = environment("XDG_CACHE_HOME")) return fs::path(*folder) / "pegainfer" / name;
  if (const auto home = environment("HOME")) return fs::path(*home) / ".cache" / "pegainfer" / name;
  return {};
}

}  // namespace pegainfer
