// Weights that nobody trained: the tensors a configuration asks for, with made-up values, so that speed and
// memory are measured without a download.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backend/backend.h"
#include "model/weight_loader.h"
#include "model/weights.h"
#include "pegainfer/result.h"

namespace pegainfer {

// The tensors of a checkpoint of this configuration, in the dtype it names (BF16 when it names none), for
// planning; there is nothing to read. An error: an architecture or combination of fields that we do not have.
Result<std::unique_ptr<TensorSource>> configured_tensors(const ModelConfig& config);

// Fills memory laid out by `plan`, which has float weights only: matrices as dummy_value() has them, keyed by
// the weight's name and `seed`; norms 1, biases 0, constants as planned.
void fill_dummy_weights(const WeightPlan& plan, Backend& backend, std::span<std::byte> memory, uint64_t seed,
                        const LoadProgress& progress);

}  // namespace pegainfer
