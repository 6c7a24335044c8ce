#include "kernels/cpu/elementwise.h"

#include <cstring>

#include "kernels/cpu/pick_isa.h"

PEGA_PICK_ISA(ElementwiseKernels, kElementwiseKernels, elementwise_kernels)

namespace pegainfer::cpu {

void gather_rows(const Tensor& x, const Tensor& indices, const Tensor& out, int64_t row_begin,
                 int64_t row_end) {
  const size_t size = size_of(x.dtype);
  for (int64_t r = row_begin; r < row_end; ++r) {
    const int64_t from = *indices.row<int32_t>(r);
    std::memcpy(static_cast<std::byte*>(out.data) + static_cast<size_t>(r * out.row_stride) * size,
                static_cast<const std::byte*>(x.data) + static_cast<size_t>(from * x.row_stride) * size,
                static_cast<size_t>(x.cols) * size);
  }
}

}  // namespace pegainfer::cpu
