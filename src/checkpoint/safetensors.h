// safetensors: an 8-byte length, a JSON header, the data. Nothing of it is trusted: the rules are those of
// the reference implementation, and stricter on duplicate names, on names (empty, over 1 KiB, control bytes),
// on more than 16 dimensions and on more than a million tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "checkpoint/tensor_source.h"
#include "pegainfer/result.h"

namespace pegainfer {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// The tensors of a file, in the order of their data. TensorInfo::file is `file_index`. A dimension above
// INT64_MAX (possible beside a zero only) is reported as INT64_MAX.
Result<std::vector<TensorInfo>> read_safetensors(const File& file, int file_index);

Result<std::unique_ptr<TensorSource>> open_safetensors(const std::string& path);
// The shards that a model.safetensors.index.json maps tensors to; they lie beside it.
Result<std::unique_ptr<TensorSource>> open_sharded_safetensors(const std::string& index_path);

}  // namespace pegainfer
