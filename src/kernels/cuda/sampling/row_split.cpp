#include <algorithm>

#include "kernels/cuda/sampling/sample.h"

namespace pegainfer::cuda {

RowSplit split_rows(int64_t rows, int64_t vocab, int num_sms, size_t shared_bytes, int most,
                    size_t fixed_bytes) {
  // Slices so small that two CTAs share an SM and a copy of one is not long in coming; then smaller ones
  // while there are SMs without work.
  constexpr int64_t kMostValues = 20 * 1024;
  constexpr int64_t kFewestValues = 4 * 1024;
  constexpr int kUsual = 8;
  RowSplit split;
  while (split.cluster < std::min(most, kUsual) && vocab > split.cluster * kMostValues) split.cluster *= 2;
  while (split.cluster < most && vocab >= 2 * split.cluster * kFewestValues &&
         rows * split.cluster * 4 <= num_sms)
    split.cluster *= 2;
  const int64_t slice = ((vocab + split.cluster - 1) / split.cluster + 31) / 32 * 32;
  if (fixed_bytes + static_cast<size_t>(slice) * sizeof(float) <= shared_bytes)
    split.slice = static_cast<int>(slice);
  return split;
}

}  // namespace pegainfer::cuda
