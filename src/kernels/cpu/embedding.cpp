#include "kernels/cpu/embedding.h"

#include <algorithm>
#include <array>

#include "base/half.h"
#include "kernels/cpu/pack.h"

namespace pegainfer::cpu {

void embedding_row(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                   void* out, bool out_bf16) {
  if (!out_bf16) return unpack_row(format, rows, cols, packed, row, static_cast<float*>(out));
  constexpr int64_t kStep = 256;
  std::array<float, kStep> part;
  auto* to = static_cast<uint16_t*>(out);
  for (int64_t begin = 0; begin < cols; begin += kStep, to += kStep) {
    const int64_t n = std::min(kStep, cols - begin);
    unpack_columns(format, rows, cols, packed, row, begin, n, part.data());
    std::transform(part.begin(), part.begin() + n, to, f32_to_bf16);
  }
}

}  // namespace pegainfer::cpu
