// What the benchmark of row-wise ops works on, and the ceilings it compares with.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pegainfer {

void bench_fill_bf16(void* to, int64_t n, cudaStream_t stream);  // uniform in [-1, 1)
void bench_fill_logits(float* to, int64_t n, bool peaks, cudaStream_t stream);
void bench_copy(const void* from, void* to, int64_t n, cudaStream_t stream);  // n times 16 bytes
void bench_read(const void* from, void* to, int64_t n, cudaStream_t stream);

}  // namespace pegainfer
