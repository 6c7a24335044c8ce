// Fills the memory of a WeightPlan from the checkpoint: threads read ahead while the backend packs.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "backend/backend.h"
#include "model/weights.h"
#include "pegainfer/result.h"

namespace pegainfer {

// Bytes of the checkpoint read so far, and in all. Called on the caller's thread.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

struct WeightLoadOptions {
  size_t chunk_bytes = 0;  // of checkpoint data; 0: by the size of the model
  int readers = 0;         // threads that read, with two chunks in memory for each; 0: by the machine
  LoadProgress progress;
};

// `memory`: plan.bytes from Backend::allocate. On an error its contents are undefined.
Status load_weights(const WeightPlan& plan, const TensorSource& source, Backend& backend,
                    std::span<std::byte> memory, const WeightLoadOptions& options);

}  // namespace pegainfer
