// What every measurement on a card needs: memory filled with noise, and a read of memory as fast as it gets.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace pegainfer::bench {

// n BF16 values, uniform in [-scale, scale).
cudaError_t fill_noise(void* to, size_t n, unsigned seed, float scale, cudaStream_t stream);

// Reads `bytes` (a multiple of 16). sink: 4 bytes, written in one case of 2^32 so that the reads are needed.
cudaError_t read_all(const void* from, size_t bytes, int blocks, void* sink, cudaStream_t stream);

}  // namespace pegainfer::bench
