// GET /v1/models and /v1/models/{id}.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pegainfer/result.h"

namespace pegainfer::openai {

struct ModelCard {
  int64_t created = 0;  // seconds since 1970
  int max_model_len = 0;
  int vocab_size = 0;
};

std::string format_models(std::span<const std::string> names, const ModelCard& card);
// kNotFound when it is none of `names`.
Result<std::string> format_model(std::string_view name, std::span<const std::string> names,
                                 const ModelCard& card);

}  // namespace pegainfer::openai
