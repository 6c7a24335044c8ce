#include "kernels/cpu/logprobs.h"

#include "kernels/cpu/pick_isa.h"

PEGA_PICK_ISA(LogprobsKernels, kLogprobsKernels, logprobs_kernels)
