// How much memory the code under test holds at its peak: this test binary has its own operator new.
#pragma once

#include <cstddef>

namespace pegainfer::testing {

// Starts a new measurement.
void reset_peak_bytes();
// The most bytes held at once since then, less what was held at its start.
size_t peak_bytes();

}  // namespace pegainfer::testing
