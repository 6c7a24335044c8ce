// Memory of the CPU backend.
#pragma once

#include <cstddef>

#include "backend/buffer.h"
#include "pegainfer/result.h"

namespace pegainfer {

// Zeroed pages from the kernel, in huge ones where they fit; aligned to 64 bytes at least. 0 bytes: an empty
// buffer.
Result<Buffer> allocate_host(size_t bytes);

}  // namespace pegainfer
