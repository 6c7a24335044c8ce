// SwiGLU's product and the gathering of rows.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "tensor/tensor.h"

namespace pegainfer::cpu {

struct ElementwiseKernels {
  // Rows [row_begin, row_end) of out [tokens, n]: round(silu(gate)) * up, where gate_up [tokens, 2n] holds
  // gate in its first n columns. BF16 or F32.
  void (*silu_mul)(const Tensor& gate_up, const Tensor& out, int64_t row_begin, int64_t row_end);
};

[[nodiscard]] const ElementwiseKernels& elementwise_kernels(Isa isa);

// out[i] = x[indices[i]] for i in [row_begin, row_end). indices [n, 1] I32.
void gather_rows(const Tensor& x, const Tensor& indices, const Tensor& out, int64_t row_begin,
                 int64_t row_end);

}  // namespace pegainfer::cpu
