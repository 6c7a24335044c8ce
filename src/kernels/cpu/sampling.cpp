#include "kernels/cpu/sampling.h"

#include "kernels/cpu/pick_isa.h"
#include "kernels/cpu/sampling_layout.h"

PEGA_PICK_ISA(SamplingKernels, kSamplingKernels, sampling_kernels)

namespace pegainfer::cpu {

size_t sampling_scratch_bytes(int64_t n) {
  return static_cast<size_t>(3 * padded_vocab(n) + max_blocks(n)) * 4;
}

}  // namespace pegainfer::cpu
