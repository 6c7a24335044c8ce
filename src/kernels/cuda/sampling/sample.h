// One token per row of logits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pegainfer::cuda {

// Rows of logits are shared out among `cluster` CTAs each, a slice of `slice` values in shared memory (0:
// read where they are).
struct RowSplit {
  int cluster = 1;
  int slice = 0;
};
// For a device with that many SMs and that much shared memory for a CTA. `most`: CTAs in a cluster, 1 where
// there are none; `fixed_bytes`: what else the kernel keeps in shared memory.
RowSplit split_rows(int64_t rows, int64_t vocab, int num_sms, size_t shared_bytes, int most,
                    size_t fixed_bytes);

// Per row: temperature (0: argmax, lowest id on a tie), min_p, top_k, top_p, then the token where the
// cumulative probability in id order passes a Philox uniform of (seed, position). -1 when the row has a NaN
// or +infinity, or nothing but -infinity. vocab <= 2^18. Parameters are columns of their own stride.
struct SampleParams {
  int64_t rows = 0;
  int64_t vocab = 0;
  const float* logits = nullptr;  // [rows, vocab]
  int64_t logits_stride = 0;
  template <class T>
  struct Column {
    const T* data = nullptr;
    int64_t stride = 1;
#ifdef __CUDACC__
    __device__ __forceinline__ T operator[](int64_t row) const { return data[row * stride]; }
#endif
  };
  Column<float> temperature;
  Column<int32_t> top_k;  // 0: off
  Column<float> top_p;    // 1: off
  Column<float> min_p;    // 0: off
  Column<int64_t> seed;
  Column<int64_t> position;
  int32_t* out = nullptr;  // [rows]
  int64_t out_stride = 1;

  int num_sms = 0;  // of the device
  size_t shared_bytes = 0;
};
cudaError_t sample(const SampleParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda
