#pragma once

#include <algorithm>
#include <ctime>
#include <limits>

namespace pegainfer::testing {

// What this thread has computed so far, in seconds. Unlike a clock on the wall it does not count what other
// processes took, so that a loaded machine does not fail a test.
inline double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Seconds of this thread that `work` takes, the best of three: what disturbs only ever adds.
template <typename Work>
double best_cpu_seconds(Work work) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    const double start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

}  // namespace pegainfer::testing
