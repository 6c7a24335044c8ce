// Model: a definition bound to its weights. Two calls, so that the caller can compute the vocabulary-wide
// head in slices: a long prompt with log-probabilities needs no rows x vocab workspace.
#pragma once

#include "checkpoint/model_config.h"
#include "model/forward.h"

namespace pegainfer {

class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  // The whole stack for f.batch(). -> final-normed hidden states [num_logits, hidden] of batch.logits_rows,
  // or an empty tensor when there are none.
  virtual Tensor forward(Forward& f) const = 0;
  // rows [n, hidden] of forward's result -> F32 [n, vocab_size].
  virtual Tensor logits(Forward& f, Tensor rows) const = 0;
};

}  // namespace pegainfer
