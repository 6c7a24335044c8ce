// What this process may use of the machine: cores and memory, as the kernel and the container say.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace pegainfer {

// `root` is where /proc and /sys are found: "" on a real machine, a folder of files in tests.

// Physical cores among `cpus`, at least 1 and no more than the cgroup's quota, rounded up, gives.
int usable_cores(const std::vector<int>& cpus, const std::string& root = {});
// The CPUs that the calling thread may run on.
std::vector<int> allowed_cpus();

// Total and available memory, each no more than the cgroup (v2 or v1) and its ancestors leave.
DeviceMemory host_memory(const std::string& root = {});

}  // namespace pegainfer
