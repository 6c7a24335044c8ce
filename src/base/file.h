// Read-only files by pread: a file cut short while we read is an error here, where a mapping would be a
// SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "pegainfer/result.h"

namespace pegainfer {

class File {
 public:
  // A regular file (links are followed: the Hugging Face cache is made of them); a directory is an error that
  // says so.
  static Result<File> open(const std::string& path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  // Fills `out` from `offset`, or fails naming the file, the place and how many bytes were there. Any thread.
  [[nodiscard]] Status read(uint64_t offset, std::span<std::byte> out) const;
  [[nodiscard]] uint64_t size() const { return size_; }  // when opened
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  File(int fd, uint64_t size, std::string path) : fd_(fd), size_(size), path_(std::move(path)) {}
  int fd_ = -1;
  uint64_t size_ = 0;
  std::string path_;
};

// The whole of a small file; an error above `max_bytes`.
Result<std::string> read_text_file(const std::string& path, uint64_t max_bytes);

}  // namespace pegainfer
