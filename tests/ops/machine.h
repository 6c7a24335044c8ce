// The CPU backends the op tests run on: every instruction set this machine has, ops checked.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/check/checked_backend.h"
#include "backend/cpu/cpu_backend.h"

namespace pegainfer::testing {

inline std::vector<cpu::Isa> available_isas() {
  std::vector<cpu::Isa> isas;
  for (const cpu::Isa isa : {cpu::Isa::kPortable, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
    if (cpu::isa_available(isa)) isas.push_back(isa);
  }
  return isas;
}

inline std::unique_ptr<Backend> checked_cpu(cpu::Isa isa, int threads = 2) {
  return std::make_unique<CheckedBackend>(
      std::make_unique<CpuBackend>(CpuBackendOptions{.threads = threads, .isa = isa}));
}

// gtest's parameter name: "avx2_bf16" and the like.
inline std::string name_of_case(cpu::Isa isa, DType dtype) {
  return std::string(cpu::name_of(isa)) + (dtype == DType::kBF16 ? "_bf16" : "_f32");
}

}  // namespace pegainfer::testing
