// What an instruction set of isa.h needs of a CPU.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/cpu/isa.h"

namespace pegainfer::cpu {

// What this machine lacks for `isa`, as /proc/cpuinfo spells it; empty: it is available.
[[nodiscard]] std::vector<std::string_view> missing_features(Isa isa);

}  // namespace pegainfer::cpu
