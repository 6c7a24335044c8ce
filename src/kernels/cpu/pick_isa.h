// PEGA_PICK_ISA(NormKernels, kNormKernels, norm_kernels) defines `const NormKernels& norm_kernels(Isa)` over
// the tables that norm_isa.cpp defines once per instruction set.
#pragma once

#include "kernels/cpu/isa.h"

#define PEGA_DECLARE_ISA_TABLE(Table, table, isa_name) \
  namespace pegainfer::cpu::isa_name {                 \
  extern const Table table;                            \
  }

#ifdef PEGA_HAS_X86_KERNELS
#define PEGA_PICK_ISA(Table, table, function)    \
  PEGA_DECLARE_ISA_TABLE(Table, table, portable) \
  PEGA_DECLARE_ISA_TABLE(Table, table, avx2)     \
  PEGA_DECLARE_ISA_TABLE(Table, table, avx512)   \
  namespace pegainfer::cpu {                     \
  const Table& function(Isa isa) {               \
    switch (isa) {                               \
      case Isa::kPortable: break;                \
      case Isa::kAvx2: return avx2::table;       \
      case Isa::kAvx512: return avx512::table;   \
    }                                            \
    return portable::table;                      \
  }                                              \
  }
#else
#define PEGA_PICK_ISA(Table, table, function)                    \
  PEGA_DECLARE_ISA_TABLE(Table, table, portable)                 \
  namespace pegainfer::cpu {                                     \
  const Table& function(Isa /*isa*/) { return portable::table; } \
  }
#endif
