// The vector operations that the matrix products are written in, for the instruction set of this build.
//
//   Vec    16 F32 lanes    vzero vset vload vstore vadd vsub vmul vfma(a, b, c) = a b + c
//                          vload_f16 vload_bf16 vstore_bf16 (from and to memory) vlookup16(codes < 16, table)
//   IVec   16 x 32 bits    iload (64 bytes), iload_u8 and iload_i8 (16 bytes, widened), iand ior, ishl, ishr
//                          (logical), isra (arithmetic), ifloat (converted), ibits (reinterpreted)
#pragma once

#if defined(PEGA_ISA_avx512)
#include "kernels/cpu/linear_vec_avx512.h"  // IWYU pragma: export
#elif defined(PEGA_ISA_avx2)
#include "kernels/cpu/linear_vec_avx2.h"  // IWYU pragma: export
#else
#include "kernels/cpu/linear_vec_portable.h"  // IWYU pragma: export
#endif
