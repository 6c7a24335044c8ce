// One token from a row of logits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"

namespace pegainfer::cpu {

struct SampleRow {
  float temperature = 0;  // 0: argmax, lowest id on a tie
  int32_t top_k = 0;      // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  double uniform = 0;     // the draw, [0, 1)
};

struct SamplingKernels {
  // The filters apply to softmax(logits / temperature): min_p keeps what is at least min_p times the largest;
  // top_k the k largest, lowest ids first on a tie; top_p the smallest set of the largest whose
  // probabilities, renormalised over what is left, reach it (at least one). Then the token where the
  // cumulative probability in id order passes `uniform`. -1 when the row has a NaN or +infinity, or nothing
  // but -infinity. scratch: sampling_scratch_bytes(n), 64-aligned; not needed for argmax.
  int32_t (*sample)(const float* logits, int64_t n, const SampleRow& row, std::byte* scratch);
};

[[nodiscard]] const SamplingKernels& sampling_kernels(Isa isa);
[[nodiscard]] size_t sampling_scratch_bytes(int64_t n);

}  // namespace pegainfer::cpu
