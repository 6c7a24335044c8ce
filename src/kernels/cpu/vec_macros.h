// For kernels: inlined for certain, and loops unrolled so that arrays of vectors live in registers.
#pragma once

#define PEGA_INLINE [[gnu::always_inline]] inline
#define PEGA_INLINE_LAMBDA __attribute__((always_inline))
#define PEGA_UNROLL _Pragma("GCC unroll 16")
