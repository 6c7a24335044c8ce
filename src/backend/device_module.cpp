#include "backend/device_module.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "backend/device_module_abi.h"

namespace pegainfer {
namespace {

constexpr const char* kFile = "libpegainfer_cuda.so";
constexpr const char* kVariable = "PEGAINFER_CUDA_MODULE";

std::vector<std::string> usual_places() {
  std::error_code error;
  const std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const std::filesystem::path folder = executable.parent_path();
  return {(folder / kFile).string(), (folder.parent_path() / "lib" / "pegainfer" / kFile).string()};
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

Result<void*> open_module(const std::string& path) {
  // The driver first: without it the module loads and then says something about versions.
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) == nullptr)
    return unsupported("there is no NVIDIA driver: libcuda.so.1 is not found", "device");
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module != nullptr) return module;
  const std::string reason = last_dl_error();
  const bool is_library = reason.find("libcublasLt") != std::string::npos;
  return unsupported(
      fmt::format(
          "the CUDA backend {} cannot be loaded: {}{}", path, reason,
          is_library ? "; install cuBLAS of that CUDA version, or name its folder in LD_LIBRARY_PATH" : ""),
      "device");
}

template <class Function>
Function* symbol(void* module, const char* name) {
  return reinterpret_cast<Function*>(dlsym(module, name));
}

}  // namespace

std::string find_cuda_module() {
  if (const char* named = std::getenv(kVariable); named != nullptr && *named != '\0') return named;
  for (const std::string& path : usual_places()) {
    if (std::error_code error; std::filesystem::exists(path, error)) return path;
  }
  return "";
}

bool has_nvidia_device() {
  std::error_code error;
  return std::filesystem::exists("/dev/nvidiactl", error);
}

Result<std::unique_ptr<Backend>> create_cuda_backend(int index, bool check_every_op) {
  const std::string path = find_cuda_module();
  std::error_code error;
  if (path.empty()) {
    std::string places;
    for (const std::string& place : usual_places())
      places += fmt::format("{}{}", places.empty() ? "" : ", ", place);
    return unsupported(fmt::format("this build has no CUDA backend; looked for {}", places), "device");
  }
  if (!std::filesystem::exists(path, error))
    return unsupported(fmt::format("{} names {}, which is not there", kVariable, path), "device");
  ASSIGN_OR_RETURN(void* module, open_module(path));
  auto* abi = symbol<DeviceModuleAbi>(module, "pegainfer_cuda_abi");
  auto* create = symbol<DeviceModuleCreate>(module, "pegainfer_create_cuda_backend");
  if (abi == nullptr || create == nullptr)
    return unsupported(fmt::format("{} is not a CUDA backend of this program", path), "device");
  if (abi() != device_module_abi())
    return unsupported(fmt::format("{} is of another build than this executable", path), "device");
  Result<std::unique_ptr<Backend>> backend = internal_error("the CUDA backend gave no answer");
  create(index, check_every_op, &backend);
  return backend;
}

}  // namespace pegainfer
