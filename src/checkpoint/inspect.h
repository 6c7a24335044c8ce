// `pegainfer inspect`: what a file or a folder holds, or why it is not valid.
#pragma once

#include <string>

#include "pegainfer/result.h"

namespace pegainfer {

// `path` is a model as resolve_model_path() takes it, or a single .safetensors or .gguf file of any content:
// such a file need not be a model, nor of an architecture that is supported. Gives the text to print, with a
// newline at its end: for people, or one JSON object.
Result<std::string> inspect(const std::string& path, bool json);

}  // namespace pegainfer
