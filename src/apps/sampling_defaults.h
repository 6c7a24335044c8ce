// What generation_config.json recommends, as the server and `generate` apply it.
#pragma once

#include "checkpoint/model_config.h"
#include "server/openai/completion_request.h"

namespace pegainfer::apps {

// Warns of what cannot be applied.
openai::SamplingDefaults sampling_defaults(const GenerationDefaults& generation);

}  // namespace pegainfer::apps
