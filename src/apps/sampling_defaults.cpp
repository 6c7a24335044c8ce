#include "apps/sampling_defaults.h"

#include "base/log.h"
#include "sampling/validate.h"

namespace pegainfer::apps {

openai::SamplingDefaults sampling_defaults(const GenerationDefaults& generation) {
  openai::SamplingDefaults defaults{.temperature = generation.temperature,
                                    .top_p = generation.top_p,
                                    .min_p = generation.min_p,
                                    .top_k = generation.top_k};
  const double penalty = generation.repetition_penalty.value_or(1.0);
  if (penalty > 0 && penalty <= static_cast<double>(kMaxRepetitionPenalty)) {
    defaults.repetition_penalty = generation.repetition_penalty;
  } else {
    LOG_WARN("generation_config.json recommends repetition_penalty {}, which is not applied", penalty);
  }
  return defaults;
}

}  // namespace pegainfer::apps
