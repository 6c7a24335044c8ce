// Who is at the other end of a socket, for logs.
#pragma once

#include <string>

namespace pegainfer::http {

// "127.0.0.1:51234", "[::1]:51234", "unix", or "unknown".
std::string peer_name(int descriptor);

}  // namespace pegainfer::http
