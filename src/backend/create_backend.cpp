#include <fmt/core.h>

#include <charconv>
#include <optional>

#include "backend/backend.h"
#include "backend/check/checked_backend.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/device_module.h"
#include "base/log.h"

namespace pegainfer {
namespace {

// 0 of "cuda", n of "cuda:n".
std::optional<int> cuda_index(std::string_view device) {
  constexpr std::string_view kCuda = "cuda";
  if (!device.starts_with(kCuda)) return std::nullopt;
  device.remove_prefix(kCuda.size());
  if (device.empty()) return 0;
  if (device.front() != ':') return std::nullopt;
  device.remove_prefix(1);
  int index = -1;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  if (error != std::errc() || end != device.data() + device.size() || index < 0) return std::nullopt;
  return index;
}

std::unique_ptr<Backend> create_cpu(const BackendOptions& options) {
  std::unique_ptr<Backend> backend =
      std::make_unique<CpuBackend>(CpuBackendOptions{.threads = options.threads});
  if (options.check) backend = std::make_unique<CheckedBackend>(std::move(backend));
  return backend;
}

// The GPU when it works, else the CPU; where there is something to wonder about, the log says why.
std::unique_ptr<Backend> create_auto(const BackendOptions& options) {
  const bool has_module = !find_cuda_module().empty();
  if (!has_module && !has_nvidia_device()) return create_cpu(options);
  Result<std::unique_ptr<Backend>> cuda = create_cuda_backend(0, options.check);
  if (cuda) return *std::move(cuda);
  LOG_INFO("the CPU is used and not CUDA: {}", cuda.error().message);
  return create_cpu(options);
}

}  // namespace

Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options) {
  constexpr int kMaxThreads = 4096;
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return invalid_argument(fmt::format("threads is {}; valid: 1 to {}, or 0 for one per physical core",
                                        options.threads, kMaxThreads),
                            "threads");
  }
  if (options.device == "cpu") return create_cpu(options);
  if (options.device == "auto") return create_auto(options);
  const std::optional<int> index = cuda_index(options.device);
  if (!index)
    return invalid_argument(
        fmt::format("device is '{}'; valid: auto, cpu, cuda, cuda:<index>", options.device), "device");
  Result<std::unique_ptr<Backend>> cuda = create_cuda_backend(*index, options.check);
  if (cuda) return cuda;
  Error error = cuda.error();
  error.message = fmt::format("device is {}, but {}; valid here: auto, cpu", options.device, error.message);
  return error;
}

}  // namespace pegainfer
