// What the fuzz targets share. A target is a file <name>_fuzz.cpp with LLVMFuzzerTestOneInput(); what must
// hold is a CHECK, whose abort is a finding.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::fuzz {

// Bytes of a finding's choices from the front of the input, until none are left; then zeros.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  uint8_t byte();
  uint8_t below(uint8_t limit) { return static_cast<uint8_t>(byte() % limit); }
  bool flag() { return (byte() & 1U) != 0; }
  // Up to the next byte `end`, which is taken and not part of it.
  std::string_view until(char end);
  std::string_view rest() const { return rest_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// A file that is only memory, for readers that want a path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  // Its path, now with these bytes.
  const std::string& hold(const uint8_t* data, size_t size);

 private:
  int fd_ = -1;
  std::string path_;
};

// Errors are for people: one line of valid UTF-8 that says something.
void check_message(const std::string& message);

// Of every kind: byte-level, SentencePiece with byte fallback, one byte a token.
const std::vector<const Tokenizer*>& tokenizers();

}  // namespace pegainfer::fuzz
