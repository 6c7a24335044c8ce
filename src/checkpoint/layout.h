// What lies in a model's folder: which of its files are the weights.
#pragma once

#include <string>
#include <vector>

#include "pegainfer/result.h"

namespace pegainfer {

enum class WeightsKind : uint8_t { kNone, kSafetensors, kSafetensorsIndex, kGguf };

struct Layout {
  std::string directory;
  WeightsKind weights = WeightsKind::kNone;
  std::string weights_path;     // the file, or the index
  std::string missing_weights;  // kNone: what is wrong, for an error
};

// `path` is a directory or a .gguf file. Safetensors go before GGUF. Several GGUF files, pickle files and
// bare .safetensors files are errors when `need_weights`.
Result<Layout> find_layout(const std::string& path, bool need_weights);

// "" when there is no such file in the folder.
std::string file_in(const std::string& directory, const std::string& name);

}  // namespace pegainfer
