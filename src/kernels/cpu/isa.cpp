#include "kernels/cpu/isa.h"

#include <cstdlib>

#include "base/log.h"
#include "kernels/cpu/isa_features.h"

namespace pegainfer::cpu {

namespace {

struct Feature {
  std::string_view name;
  bool there;
};

std::vector<Feature> features(Isa isa) {
#ifdef PEGA_HAS_X86_KERNELS
  std::vector<Feature> out;
  const auto add = [&out](std::string_view name, int there) { out.push_back({name, there != 0}); };
  if (isa == Isa::kPortable) return out;
  add("avx2", __builtin_cpu_supports("avx2"));
  add("fma", __builtin_cpu_supports("fma"));
  add("bmi2", __builtin_cpu_supports("bmi2"));
  if (isa == Isa::kAvx2) return out;
  add("avx512f", __builtin_cpu_supports("avx512f"));
  add("avx512bw", __builtin_cpu_supports("avx512bw"));
  add("avx512vl", __builtin_cpu_supports("avx512vl"));
  add("avx512dq", __builtin_cpu_supports("avx512dq"));
  add("avx512_vnni", __builtin_cpu_supports("avx512vnni"));
  add("avx512_bf16", __builtin_cpu_supports("avx512bf16"));
  add("avx512_vbmi", __builtin_cpu_supports("avx512vbmi"));
  return out;
#else
  if (isa == Isa::kPortable) return {};
  return {{"x86-64", false}};
#endif
}

}  // namespace

std::vector<std::string_view> missing_features(Isa isa) {
  std::vector<std::string_view> out;
  for (const Feature& feature : features(isa)) {
    if (!feature.there) out.push_back(feature.name);
  }
  return out;
}

bool isa_available(Isa isa) { return missing_features(isa).empty(); }

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
