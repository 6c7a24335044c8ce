#include "kernels/cpu/norm.h"

#include "kernels/cpu/pick_isa.h"

PEGA_PICK_ISA(NormKernels, kNormKernels, norm_kernels)
