// Log-softmax of a row at one token, and its largest entries.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"

namespace pegainfer::cpu {

struct LogprobsKernels {
  // log softmax(logits)[target] (NaN when target is outside the row, as -1 is), and the top_n largest in
  // descending order, lowest id first on a tie -> top_ids, top_logprobs [top_n]. A row with a NaN gives NaNs;
  // entries it cannot fill have id -1.
  float (*logprobs)(const float* logits, int64_t n, int32_t target, int top_n, int32_t* top_ids,
                    float* top_logprobs);
};

[[nodiscard]] const LogprobsKernels& logprobs_kernels(Isa isa);

}  // namespace pegainfer::cpu
