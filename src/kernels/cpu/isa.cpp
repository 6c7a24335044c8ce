#include "kernels/cpu/isa.h"

#include <cstdlib>

#include "base/log.h"

namespace pegainfer::cpu {

bool isa_available(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return true;
#ifdef PEGA_HAS_X86_KERNELS
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
             __builtin_cpu_supports("bmi2") != 0;
    case Isa::kAvx512:
      return isa_available(Isa::kAvx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0 &&
             __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512vbmi") != 0;
#else
    case Isa::kAvx2:
    case Isa::kAvx512: return false;
#endif
  }
  return false;
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return "portable";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
  }
  return "?";
}

Isa detect_isa() {
  Isa best = Isa::kPortable;
  if (isa_available(Isa::kAvx2)) best = Isa::kAvx2;
  if (isa_available(Isa::kAvx512)) best = Isa::kAvx512;
  const char* wanted = std::getenv("PEGAINFER_CPU_ISA");
  if (wanted == nullptr || *wanted == '\0') return best;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (name_of(isa) == wanted && isa_available(isa)) return isa;
  }
  LOG_WARN("PEGAINFER_CPU_ISA={} is not available here (portable, avx2 or avx512); using {}", wanted,
           name_of(best));
  return best;
}

}  // namespace pegainfer::cpu
