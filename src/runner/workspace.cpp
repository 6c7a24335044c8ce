// plan_workspace(): the largest step, run with ops that do nothing.
#include "backend/null/null_backend.h"
#include "model/model.h"
#include "runner/model_runner.h"

namespace pegainfer {

size_t plan_workspace(const Model& model, const RunnerOptions& options) {
  constexpr size_t kUnlimited = size_t{1} << 46U;
  Arena arena = Arena::dry(kUnlimited);
  NullOps ops;
  const KvCacheView kv = kv_cache_shape(model.config(), options);
  run_step(model, ops, arena, options.arithmetic, options.head_rows,
           InputBatch::largest(options.batch_limits(model.config().vocab_size), kv));
  return arena.peak();
}

}  // namespace pegainfer
