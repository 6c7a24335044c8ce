#include "base/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace pegainfer {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

Result<File> File::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const std::string message = fmt::format("{}: {}", path, reason(error));
    return error == ENOENT || error == ENOTDIR ? not_found(message) : io_error(message);
  }
  struct stat st {};
  if (::fstat(fd, &st) != 0) {
    const int error = errno;
    ::close(fd);
    return io_error(fmt::format("{}: {}", path, reason(error)));
  }
  if (!S_ISREG(st.st_mode)) {
    ::close(fd);
    return invalid_argument(fmt::format("{}: {}, expected a file", path,
                                        S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file"));
  }
  return File(fd, static_cast<uint64_t>(st.st_size), path);
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    size_ = other.size_;
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Status File::read(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const size_t ask = std::min<size_t>(out.size() - done, size_t{1} << 30);
    const ssize_t n = ::pread(fd_, out.data() + done, ask, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return io_error(
          fmt::format("{}: reading {} bytes at {}: {}", path_, out.size(), offset, reason(errno)));
    }
    if (n == 0) {
      return io_error(
          fmt::format("{}: file ends at byte {}, expected {} bytes from {}: it is truncated or changed while "
                      "being read",
                      path_, offset + done, out.size(), offset));
    }
    done += static_cast<size_t>(n);
  }
  return ok_status();
}

Result<std::string> read_text_file(const std::string& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const File file, File::open(path));
  if (file.size() > max_bytes) {
    return invalid_argument(
        fmt::format("{}: {} bytes, more than the {} allowed", path, file.size(), max_bytes));
  }
  std::string text(file.size(), '\0');
  RETURN_IF_ERROR(file.read(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

}  // namespace pegainfer
