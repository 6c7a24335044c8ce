#include "backend/cuda/cuda_context.h"

#include <fmt/format.h>

#include "base/check.h"

namespace pegainfer {
namespace {

Error cuda_error(std::string_view what, cudaError_t error) {
  return Error{Code::kUnavailable,
               fmt::format("{}: {} ({})", what, cudaGetErrorString(error), cudaGetErrorName(error)),
               {},
               {}};
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  cudaDeviceGetAttribute(&value, which, device);
  return value;
}

}  // namespace

Result<std::unique_ptr<CudaContext>> CudaContext::create(int device_index) {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess)
    return cuda_error("no CUDA device can be used", error);
  if (device_index < 0 || device_index >= count)
    return invalid_argument(fmt::format("CUDA device {} was asked for; there are {}", device_index, count),
                            "device");
  cudaDeviceProp properties{};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device_index); error != cudaSuccess)
    return cuda_error(fmt::format("CUDA device {}", device_index), error);
  if (properties.major < 8)
    return unsupported(fmt::format("{} has compute capability {}.{}; 8.0 or newer is needed (BF16)",
                                   properties.name, properties.major, properties.minor));
  if (const cudaError_t error = cudaSetDevice(device_index); error != cudaSuccess)
    return cuda_error(fmt::format("CUDA device {} ({})", device_index, properties.name), error);

  std::unique_ptr<CudaContext> context(new CudaContext());
  CudaDevice& d = context->device_;
  d.index = device_index;
  d.name = properties.name;
  d.major = properties.major;
  d.minor = properties.minor;
  d.num_sms = properties.multiProcessorCount;
  d.shared_bytes_per_block = properties.sharedMemPerBlockOptin;
  d.shared_bytes_per_sm = properties.sharedMemPerMultiprocessor;
  d.l2_bytes = static_cast<size_t>(attribute(cudaDevAttrL2CacheSize, device_index));
  cudaDriverGetVersion(&d.driver_version);
  if (const cudaError_t error = cudaStreamCreateWithFlags(&context->stream_, cudaStreamNonBlocking);
      error != cudaSuccess)
    return cuda_error("a CUDA stream", error);
  return context;
}

CudaContext::~CudaContext() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void CudaContext::note(std::string_view op, cudaError_t error) {
  if (!health_) return;
  if (error == cudaSuccess && check_every_op_) {
    cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(stream_, &capturing);
    if (capturing == cudaStreamCaptureStatusNone) error = cudaStreamSynchronize(stream_);
  }
  if (error == cudaSuccess) {
    last_op_.assign(op);
    return;
  }
  health_ = Error{
      Code::kInternal,
      fmt::format("the GPU failed in {}: {} ({}); the last op enqueued before it was {}", op,
                  cudaGetErrorString(error), cudaGetErrorName(error), last_op_.empty() ? "none" : last_op_),
      {},
      "device_error"};
}

Result<Buffer> CudaContext::allocate(size_t bytes) {
  ++num_allocations_;
  if (bytes == 0) return Buffer();
  void* data = nullptr;
  if (const cudaError_t error = cudaMalloc(&data, bytes); error != cudaSuccess) {
    cudaGetLastError();  // not sticky: the next call is to start clean
    return resource_exhausted(
        fmt::format("{} bytes of GPU memory could not be had: {}", bytes, cudaGetErrorString(error)));
  }
  Buffer buffer(static_cast<std::byte*>(data), bytes, [](std::byte* p) { cudaFree(p); });
  if (const cudaError_t error = cudaMemsetAsync(data, 0, bytes, stream_); error != cudaSuccess)
    return cuda_error("zeroing GPU memory", error);
  return buffer;
}

Result<Buffer> CudaContext::allocate_pinned(size_t bytes) {
  ++num_allocations_;
  if (bytes == 0) return Buffer();
  void* data = nullptr;
  if (const cudaError_t error = cudaMallocHost(&data, bytes); error != cudaSuccess) {
    cudaGetLastError();
    return resource_exhausted(
        fmt::format("{} bytes of pinned host memory could not be had: {}", bytes, cudaGetErrorString(error)));
  }
  std::fill_n(static_cast<std::byte*>(data), bytes, std::byte{0});
  return Buffer(static_cast<std::byte*>(data), bytes, [](std::byte* p) { cudaFreeHost(p); });
}

Status CudaScratch::reserve(size_t bytes) {
  if (bytes > buffer_.size()) {
    ASSIGN_OR_RETURN(buffer_, context_.allocate(bytes));
  }
  sealed_ = true;
  return ok_status();
}

std::byte* CudaScratch::get(size_t bytes) {
  if (bytes > buffer_.size()) {
    CHECK(!sealed_, "an op needs {} bytes of scratch, {} were reserved", bytes, buffer_.size());
    Result<Buffer> grown = context_.allocate(bytes);
    CHECK(grown.has_value(), "{}", grown.error().message);
    cudaStreamSynchronize(context_.stream());  // the old memory may be in use
    buffer_ = *std::move(grown);
  }
  return buffer_.data();
}

}  // namespace pegainfer
