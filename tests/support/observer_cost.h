// How long an observer takes for a step of decoding requests, as the engine's thread tells it.
#pragma once

#include "engine/engine_observer.h"

namespace pegainfer::testing {

// Microseconds a step; the best of several rounds. In a file of its own, so that calls are as virtual as the
// engine's.
double observer_us_per_step(EngineObserver& observer, int num_rows);

}  // namespace pegainfer::testing
