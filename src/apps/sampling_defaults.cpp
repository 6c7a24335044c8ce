#include "apps/sampling_defaults.h"

#include "base/log.h"

namespace pegainfer::apps {

openai::SamplingDefaults sampling_defaults(const GenerationDefaults& generation) {
  openai::SamplingDefaults defaults{.temperature = generation.temperature,
                                    .top_p = generation.top_p,
                                    .min_p = generation.min_p,
                                    .top_k = generation.top_k};
  if (generation.repetition_penalty.value_or(1.0) != 1.0) {
    LOG_WARN(
        "generation_config.json recommends repetition_penalty {}, which is not supported and not applied",
        *generation.repetition_penalty);
  }
  return defaults;
}

}  // namespace pegainfer::apps
