#include "backend/cpu/machine.h"

#include "backend/cpu/host.h"
#include "kernels/cpu/isa_features.h"

namespace pegainfer {

MachineFacts machine_facts() {
  const std::vector<int> cpus = allowed_cpus();
  MachineFacts out{.cores = usable_cores(cpus),
                   .logical_cpus = static_cast<int>(cpus.size()),
                   .memory = host_memory(),
                   .isa = std::string(cpu::name_of(cpu::detect_isa()))};
  for (const cpu::Isa better : {cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    const auto missing = cpu::missing_features(better);
    if (missing.empty()) continue;
    out.missing_for = cpu::name_of(better);
    for (const std::string_view feature : missing)
      out.missing += (out.missing.empty() ? "" : ", ") + std::string(feature);
    break;
  }
  return out;
}

}  // namespace pegainfer
