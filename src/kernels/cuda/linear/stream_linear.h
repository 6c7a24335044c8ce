// x w^T for a few rows of x: the weights are read once, at the speed of the memory they come from.
//
// Every CTA has an equal share of w's rows, its eight warps an equal share of the columns each; the partial
// sums of the warps are added in order. So the order in which a row's products are added depends on w's
// columns alone: not on the rows of x, nor on the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace pegainfer::cuda {

inline constexpr int kMaxStreamRows = 16;

enum class StreamOutput : uint8_t {
  kStore,  // out = sum + bias
  kAdd,    // out += round(sum + bias), rounded (BF16)
  kGated,  // out = round(silu(gate)) * up of the rounded gate = w's sum and up = w_up's sum (BF16)
};

struct StreamLinearParams {
  const void* x = nullptr;  // [rows, cols] BF16, 16-byte aligned, rows x_stride (a multiple of 8) apart
  int64_t x_stride = 0;
  int rows = 0;                // of x: 1 to kMaxStreamRows
  int cols = 0;                // a multiple of 8
  const void* w = nullptr;     // [n, cols] BF16, 16-byte aligned
  const void* w_up = nullptr;  // kGated: [n, cols]
  int n = 0;
  const float* bias = nullptr;  // [n] or null
  const float* bias_up = nullptr;
  void* out = nullptr;  // [rows, n], rows out_stride apart
  int64_t out_stride = 0;
  bool out_f32 = false;  // kStore only
  StreamOutput output = StreamOutput::kStore;
};

struct StreamDevice {
  int num_sms = 0;
  size_t shared_bytes_per_sm = 0;
  int stages = 0;  // of a warp's ring, 2 KB each: at most so many; 0: what lets two CTAs stand on an SM
  int tiles = 0;   // of 16 rows computed together, 1 or 2; 0: by shape
};

cudaError_t stream_linear(const StreamLinearParams& params, const StreamDevice& device, cudaStream_t stream);

}  // namespace pegainfer::cuda
