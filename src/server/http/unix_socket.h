// The listening end of a Unix socket, and its name in the file system.
#pragma once

#include <sys/types.h>

#include <string>

#include "pegainfer/result.h"

namespace pegainfer::http {

class UnixSocket {
 public:
  // Mode 0660: for this user and group. A name that a server which has gone left behind is taken over, one
  // that somebody listens at is not, and what is no socket is never touched.
  static Result<UnixSocket> listen(const std::string& path, int backlog);
  UnixSocket(UnixSocket&& other) noexcept;
  UnixSocket& operator=(UnixSocket&& other) noexcept;
  ~UnixSocket();  // removes the name, if it still is this socket's

  [[nodiscard]] const std::string& path() const { return path_; }
  int release_descriptor();

 private:
  UnixSocket() = default;
  std::string path_;
  int descriptor_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace pegainfer::http
