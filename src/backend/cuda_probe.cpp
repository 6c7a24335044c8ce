#include "backend/cuda_probe.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <array>
#include <memory>
#include <string>

namespace pegainfer {
namespace {

// Libraries stay loaded: the driver does not like to be closed.
void* open_library(const char* name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }

// The part of the driver's interface that is needed here; its names and numbers do not change (cuda.h).
class Driver {
 public:
  static constexpr int kNoDevice = 100;
  static constexpr int kCapabilityMajor = 75;
  static constexpr int kCapabilityMinor = 76;

  explicit Driver(void* library) : library_(library) {}

  template <class... Args>
  int call(const char* name, Args... args) const {
    void* symbol = dlsym(library_, name);
    if (symbol == nullptr) return -1;
    return reinterpret_cast<int (*)(Args...)>(symbol)(args...);
  }
  [[nodiscard]] std::string error_text(int code) const {
    const char* text = nullptr;
    if (call("cuGetErrorString", code, &text) != 0 || text == nullptr) return fmt::format("error {}", code);
    return fmt::format("{} (error {})", text, code);
  }

 private:
  void* library_;
};

bool find_cublaslt() {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"})
    if (open_library(name) != nullptr) return true;
  return false;
}

ProbedCudaDevice describe(const Driver& driver, int index) {
  ProbedCudaDevice out;
  int device = 0;
  std::array<char, 256> name{};
  if (driver.call("cuDeviceGet", &device, index) != 0) return out;
  driver.call("cuDeviceGetName", name.data(), static_cast<int>(name.size() - 1), device);
  driver.call("cuDeviceTotalMem_v2", &out.total_bytes, device);
  driver.call("cuDeviceGetAttribute", &out.major, Driver::kCapabilityMajor, device);
  driver.call("cuDeviceGetAttribute", &out.minor, Driver::kCapabilityMinor, device);
  out.name = name.data();
  return out;
}

}  // namespace

CudaProbe probe_cuda() {
  CudaProbe out;
  void* library = open_library("libcuda.so.1");
  if (library == nullptr) {
    out.error = "no NVIDIA driver: libcuda.so.1 is not found";
    return out;
  }
  out.has_driver = true;
  out.has_cublaslt = find_cublaslt();
  const Driver driver(library);
  driver.call("cuDriverGetVersion", &out.driver_version);
  if (const int code = driver.call("cuInit", 0U); code != 0) {
    out.error = code == Driver::kNoDevice ? "the NVIDIA driver sees no device"
                                          : "the NVIDIA driver does not start: " + driver.error_text(code);
    return out;
  }
  int count = 0;
  driver.call("cuDeviceGetCount", &count);
  for (int i = 0; i < count; ++i) out.devices.push_back(describe(driver, i));
  if (count == 0) out.error = "the NVIDIA driver sees no device";
  return out;
}

}  // namespace pegainfer
