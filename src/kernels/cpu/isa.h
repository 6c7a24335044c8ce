// Which instruction set the kernels use, chosen once at run time.
//
// How an op is written: `<op>.h` declares a struct of function pointers and `const <Op>Kernels&
// <op>_kernels(Isa)`;
// `<op>_isa.cpp` defines `namespace pegainfer::cpu::PEGA_ISA { extern const <Op>Kernels k<Op>Kernels; }` and
// is compiled once per set; `<op>.cpp` picks. In an _isa.cpp everything else is in an anonymous namespace,
// and no function template or inline function of a header is called that the compiler might emit out of line:
// the linker would merge it across sets.
#pragma once

#include <cstdint>
#include <string_view>

namespace pegainfer::cpu {

enum class Isa : uint8_t {
  kPortable,  // plain C++
  kAvx2,      // AVX2, FMA, F16C
  kAvx512,    // AVX-512 F, BW, VL, DQ, VNNI, BF16, VBMI
};

// The best set of this machine, or the one named by PEGAINFER_CPU_ISA (portable, avx2, avx512) when the
// machine has it.
Isa detect_isa();
[[nodiscard]] bool isa_available(Isa isa);
[[nodiscard]] std::string_view name_of(Isa isa);

}  // namespace pegainfer::cpu
