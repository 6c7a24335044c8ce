#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

template <class T>
void silu_mul_rows(const Tensor& gate_up, const Tensor& out, int64_t row_begin, int64_t row_end) {
  const Vf one = broadcast(1.0F);
  for (int64_t r = row_begin; r < row_end; ++r) {
    const T* gate = static_cast<const T*>(gate_up.data) + r * gate_up.row_stride;
    const T* up = gate + out.cols;
    T* to = static_cast<T*>(out.data) + r * out.row_stride;
    for (int64_t c = 0; c < out.cols; c += kLanes) {
      const int64_t left = out.cols - c;
      const Vf g = load_upto(gate + c, left);
      const Vf silu = g / (one + exp(broadcast(0) - g));
      store_upto(to + c, materialise<T>(silu) * load_upto(up + c, left), left);
    }
  }
}

void silu_mul(const Tensor& gate_up, const Tensor& out, int64_t row_begin, int64_t row_end) {
  const auto rows = out.dtype == DType::kBF16 ? silu_mul_rows<uint16_t> : silu_mul_rows<float>;
  rows(gate_up, out, row_begin, row_end);
}

}  // namespace

extern const ElementwiseKernels kElementwiseKernels;
const ElementwiseKernels kElementwiseKernels{silu_mul};

}  // namespace pegainfer::cpu::PEGA_ISA
