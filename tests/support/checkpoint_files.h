// Writers of checkpoint files for tests: valid ones, and ones that are broken at a chosen place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pegainfer::testing {

// A fresh folder, removed with everything in it.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Writes a file in it, with the folders on the way, and gives its path.
  std::string write(const std::string& name, std::string_view bytes) const;
  [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// The number as the file formats have it: little-endian.
template <class T>
std::string little_endian(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

// Length, header, data.
std::string safetensors_bytes(std::string_view header, std::string_view data);

struct SafeTensor {
  std::string name;
  std::string dtype = "F32";
  std::vector<int64_t> shape;
  std::string data;
};
std::string safetensors_bytes(const std::vector<SafeTensor>& tensors);
// F32 tensor of the given shape, its values 0, 1, 2, ...
SafeTensor counting_tensor(std::string name, std::vector<int64_t> shape);

// GGUF, piece by piece. Every piece can be replaced by raw bytes to break it.
class GgufWriter {
 public:
  uint32_t version = 3;
  std::string magic = "GGUF";
  uint64_t alignment = 32;  // of the data; says nothing in the metadata

  GgufWriter& u32(std::string_view key, uint32_t value);
  GgufWriter& u64(std::string_view key, uint64_t value);
  GgufWriter& i32(std::string_view key, int32_t value);
  GgufWriter& f32(std::string_view key, float value);
  GgufWriter& boolean(std::string_view key, uint8_t value);
  GgufWriter& text(std::string_view key, std::string_view value);
  GgufWriter& strings(std::string_view key, const std::vector<std::string>& values);
  GgufWriter& i32s(std::string_view key, const std::vector<int32_t>& values);
  GgufWriter& f32s(std::string_view key, const std::vector<float>& values);
  GgufWriter& raw_metadata(std::string bytes);  // counts as one entry

  // `dims` innermost first, as the file has them.
  GgufWriter& tensor(std::string_view name, uint32_t type, const std::vector<int64_t>& dims,
                     std::string data);
  // The description of a tensor whose data is elsewhere or nowhere; counts as one.
  GgufWriter& raw_tensor(std::string bytes);
  static std::string describe(std::string_view name, const std::vector<int64_t>& dims, uint32_t type,
                              uint64_t offset);

  [[nodiscard]] std::string bytes() const;
  // With other counts than there are entries.
  [[nodiscard]] std::string bytes(uint64_t num_tensors, uint64_t num_metadata) const;

 private:
  GgufWriter& entry(std::string_view key, uint32_t type, std::string_view value);

  std::vector<std::string> metadata_;
  std::vector<std::string> tensors_;
  std::string data_;
};

std::string gguf_string(std::string_view text);

// Metadata of a small `llama` model with a vocabulary of 8, and its tensors of zeros: loads as a checkpoint.
// `skip` leaves out one metadata key.
GgufWriter tiny_llama_gguf(std::string_view skip = {});

}  // namespace pegainfer::testing
