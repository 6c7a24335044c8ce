#include "kernels/cpu/linear.h"

#include "kernels/cpu/pick_isa.h"
#include "kernels/cpu/quant.h"

PEGA_PICK_ISA(LinearKernels, kLinearKernels, linear_kernels)

namespace pegainfer::cpu {

size_t linear_prepared_bytes(const LinearPreparation& preparation, int64_t m, int64_t k) {
  const int64_t cols = num_cells(k) * kCellCols;
  int64_t bytes = 0;
  if (preparation.copy_f32 || preparation.copy_padded) bytes += m * cols * int64_t{sizeof(float)};
  if (preparation.sum_block != 0) bytes += m * (cols / preparation.sum_block) * int64_t{sizeof(float)};
  return static_cast<size_t>((bytes + 63) / 64 * 64);
}

int64_t linear_num_tasks(const LinearArgs& args) {
  const int64_t rows = (args.n + kLinearTaskRows - 1) / kLinearTaskRows;
  return rows * ((args.m + kLinearTaskTokens - 1) / kLinearTaskTokens);
}

}  // namespace pegainfer::cpu
