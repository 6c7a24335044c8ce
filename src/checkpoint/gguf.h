// GGUF v2 and v3, little-endian: a header of typed metadata and tensor descriptions, then aligned data.
// Nothing of it is trusted: every count, length and offset is held against the file's size before memory is
// taken, so that reading takes at most 4 x the file + 16 MiB.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "checkpoint/tensor_source.h"
#include "pegainfer/result.h"

namespace pegainfer {

enum class GgufType : uint32_t {  // the numbers are the file's
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

std::string_view name_of(GgufType type);

// Elements of an array of numbers or booleans as the file has them, `size_of_element` bytes each.
struct GgufNumbers {
  GgufType type = GgufType::kUint8;
  std::vector<std::byte> bytes;

  [[nodiscard]] size_t size() const;
  [[nodiscard]] double number(size_t i) const;  // rounded when it is a 64-bit integer above 2^53
};

using GgufValue =
    std::variant<uint64_t, int64_t, double, bool, std::string, GgufNumbers, std::vector<std::string>>;

// The metadata, with typed access whose errors name the file and the key.
class GgufMetadata {
 public:
  explicit GgufMetadata(std::string path) : path_(std::move(path)) {}

  // False when the key is there already.
  [[nodiscard]] bool add(std::string key, GgufValue value);
  [[nodiscard]] const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const GgufValue* find(std::string_view key) const;

  // Empty when the key is missing; an error when the value is of another kind or does not fit.
  [[nodiscard]] Result<std::optional<int64_t>> integer(std::string_view key) const;
  [[nodiscard]] Result<std::optional<double>> number(std::string_view key) const;
  [[nodiscard]] Result<std::optional<bool>> boolean(std::string_view key) const;
  [[nodiscard]] Result<std::optional<std::string>> text(std::string_view key) const;
  [[nodiscard]] Result<const GgufNumbers*> numbers(std::string_view key) const;  // null when missing
  // Moves the array out: vocabularies are large.
  [[nodiscard]] Result<std::vector<std::string>> take_strings(std::string_view key);

 private:
  [[nodiscard]] Error wrong_kind(std::string_view key, std::string_view expected) const;

  std::string path_;
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::unordered_map<std::string, size_t> by_key_;
};

struct GgufFile {
  uint32_t version = 0;
  GgufMetadata metadata{""};
  std::vector<TensorInfo> tensors;  // in file order; TensorInfo::file is 0
};

Result<GgufFile> read_gguf(const File& file);

// True when the file begins as a GGUF file does.
Result<bool> has_gguf_magic(const File& file);

}  // namespace pegainfer
