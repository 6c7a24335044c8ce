// What the CPU backend finds here, in words and figures, for whoever asks what a machine can do.
#pragma once

#include <string>

#include "backend/backend.h"

namespace pegainfer {

struct MachineFacts {
  int cores = 0;         // that the CPU backend uses unless told otherwise
  int logical_cpus = 0;  // that this process may run on
  DeviceMemory memory;
  std::string isa;          // of the kernels: avx512, avx2, portable
  std::string missing;      // what the next better set would need, as /proc/cpuinfo spells it; "" : nothing
  std::string missing_for;  // that set
};

MachineFacts machine_facts();

}  // namespace pegainfer
