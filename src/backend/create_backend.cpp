#include <fmt/core.h>

#include "backend/backend.h"
#include "backend/check/checked_backend.h"
#include "backend/cpu/cpu_backend.h"

namespace pegainfer {

Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options) {
  constexpr int kMaxThreads = 4096;
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return invalid_argument(fmt::format("threads is {}; valid: 1 to {}, or 0 for one per physical core",
                                        options.threads, kMaxThreads),
                            "threads");
  }
  if (options.device == "cuda") {
    return unsupported("device is cuda, but this build has no CUDA backend; valid: auto, cpu", "device");
  }
  if (options.device != "auto" && options.device != "cpu") {
    return invalid_argument(fmt::format("device is '{}'; valid: auto, cpu, cuda", options.device), "device");
  }
  std::unique_ptr<Backend> backend =
      std::make_unique<CpuBackend>(CpuBackendOptions{.threads = options.threads});
  if (options.check) backend = std::make_unique<CheckedBackend>(std::move(backend));
  return backend;
}

}  // namespace pegainfer
