#include "kernels/cpu/rope.h"

#include <cmath>

#include "base/half.h"
#include "kernels/cpu/pick_isa.h"

PEGA_PICK_ISA(RopeKernels, kRopeKernels, rope_kernels)

namespace pegainfer::cpu {

void rope_table(const Tensor& positions, const float* inv_freq, float factor, DType round_to,
                const Tensor& out, int64_t row_begin, int64_t row_end) {
  const int64_t half = out.cols / 2;
  for (int64_t r = row_begin; r < row_end; ++r) {
    // The angle is an F32 product, as the reference computes it: at position 100,000 its rounding is visible.
    const auto position = static_cast<float>(*positions.row<int32_t>(r));
    float* row = out.row<float>(r);
    for (int64_t i = 0; i < half; ++i) {
      const float angle = position * inv_freq[i];
      row[i] = std::cos(angle) * factor;
      row[half + i] = std::sin(angle) * factor;
    }
    if (round_to == DType::kBF16) {
      for (int64_t i = 0; i < 2 * half; ++i) row[i] = round_bf16(row[i]);
    }
  }
}

}  // namespace pegainfer::cpu
