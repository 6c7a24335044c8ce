#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/utf8.h"
#include "tokenizer/byte_tokenizer.h"
#include "tokenizer/small_tokenizers.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  pegainfer::set_log_level(pegainfer::LogLevel::kOff);
  return 0;
}

namespace pegainfer::fuzz {

uint8_t Input::byte() {
  if (rest_.empty()) return 0;
  const auto b = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return b;
}

std::string_view Input::until(char end) {
  const size_t at = std::min(rest_.find(end), rest_.size());
  const std::string_view out = rest_.substr(0, at);
  rest_.remove_prefix(std::min(at + 1, rest_.size()));
  return out;
}

MemoryFile::MemoryFile() : fd_(::memfd_create("fuzz", 0)) {
  CHECK(fd_ >= 0, "memfd_create: {}", errno);
  path_ = "/proc/self/fd/" + std::to_string(fd_);
}

MemoryFile::~MemoryFile() { ::close(fd_); }

const std::string& MemoryFile::hold(const uint8_t* data, size_t size) {
  CHECK(::ftruncate(fd_, 0) == 0);
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::pwrite(fd_, data + done, size - done, static_cast<off_t>(done));
    CHECK(n > 0, "pwrite: {}", errno);
    done += static_cast<size_t>(n);
  }
  return path_;
}

void check_message(const std::string& message) {
  CHECK(!message.empty());
  CHECK(utf8::valid(message), "a message of broken UTF-8");
  CHECK(message.find('\n') == std::string::npos, "a message of several lines: {}", message);
}

const std::vector<const Tokenizer*>& tokenizers() {
  static const auto byte_level = testing::load(testing::byte_level_json());
  static const auto sentencepiece = testing::load(testing::sentencepiece_json());
  static const ByteTokenizer bytes;
  static const std::vector<const Tokenizer*> all{byte_level.get(), sentencepiece.get(), &bytes};
  return all;
}

}  // namespace pegainfer::fuzz
