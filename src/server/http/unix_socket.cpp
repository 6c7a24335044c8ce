#include "server/http/unix_socket.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace pegainfer::http {
namespace {

constexpr mode_t kMode = 0660;

Error refused(const std::string& path, std::string_view why) {
  return invalid_argument(fmt::format("--uds {}: {}", path, why), "uds");
}

Error failed(const std::string& path, std::string_view what) {
  return refused(path, fmt::format("{}: {}", what, std::strerror(errno)));
}

int new_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// Removes what a server that has gone left behind.
Status make_room(const std::string& path, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return ok_status();
  if (!S_ISSOCK(found.st_mode)) return refused(path, "there is a file of this name that is no socket");
  const int probe = new_socket();
  if (probe < 0) return failed(path, "no socket could be made");
  const int result = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool nobody = result != 0 && errno == ECONNREFUSED;
  ::close(probe);
  if (!nobody) return refused(path, "another process listens there");
  if (::unlink(path.c_str()) != 0) return failed(path, "the old socket cannot be removed");
  return ok_status();
}

}  // namespace

Result<UnixSocket> UnixSocket::listen(const std::string& path, int backlog) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return refused(
        path, fmt::format("the path of a Unix socket has at most {} bytes", sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  RETURN_IF_ERROR(make_room(path, address));

  UnixSocket made;
  made.descriptor_ = new_socket();
  if (made.descriptor_ < 0) return failed(path, "no socket could be made");
  // The mode of the descriptor becomes the name's: there is no moment when others could connect.
  if (::fchmod(made.descriptor_, kMode) != 0) return failed(path, "its mode cannot be set");
  const mode_t mask = ::umask(static_cast<mode_t>(~kMode) & 0777U);
  const int bound = ::bind(made.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_error = errno;
  ::umask(mask);
  errno = bind_error;
  if (bound != 0) return failed(path, "cannot listen there");
  struct stat own {};
  if (::lstat(path.c_str(), &own) != 0) return failed(path, "it has gone at once");
  made.path_ = path;
  made.device_ = own.st_dev;
  made.inode_ = own.st_ino;
  if (::chmod(path.c_str(), kMode) != 0) return failed(path, "its mode cannot be set");
  if (::listen(made.descriptor_, backlog) != 0) return failed(path, "cannot listen there");
  return made;
}

UnixSocket::UnixSocket(UnixSocket&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      device_(other.device_),
      inode_(other.inode_) {}

UnixSocket& UnixSocket::operator=(UnixSocket&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

UnixSocket::~UnixSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
  struct stat found {};
  if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

int UnixSocket::release_descriptor() { return std::exchange(descriptor_, -1); }

}  // namespace pegainfer::http
