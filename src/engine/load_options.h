// What EngineOptions mean: the steps that load_engine() and plan_engine() have in common, so that a plan is
// what a start does.
#pragma once

#include "backend/backend.h"
#include "checkpoint/checkpoint.h"
#include "engine/load_engine.h"
#include "pegainfer/result.h"
#include "runner/model_loader.h"

namespace pegainfer {

// Whatever can be said before files are opened.
Status check_options(const EngineOptions& options);
// With --load-format dummy its tensors are those that the configuration asks for.
Result<Checkpoint> open_checkpoint(const EngineOptions& options);
// `options` are checked; some choices depend on the backend.
Result<LoadOptions> to_load_options(const EngineOptions& options, const Backend& backend);

}  // namespace pegainfer
