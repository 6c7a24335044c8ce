// TensorSource: the tensors of a checkpoint by name, whatever the file format. Everything was validated when
// it was opened: offsets, sizes and shapes agree with the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"
#include "tensor/dtype.h"

namespace pegainfer {

struct TensorInfo {
  std::string name;
  WeightFormat format = WeightFormat::kF32;
  std::string
      dtype_name;  // as the file spells it; names formats we have no WeightFormat for (I64, F8_E4M3) as well
  bool supported = true;       // false: `format` says nothing, the tensor can be listed but not loaded
  std::vector<int64_t> shape;  // outermost first: [out features, in features]
  int file = 0;                // index into TensorSource::file_names()
  uint64_t offset = 0;         // bytes from the start of the file
  uint64_t bytes = 0;
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  [[nodiscard]] virtual std::span<const TensorInfo> tensors() const = 0;
  [[nodiscard]] virtual const TensorInfo* find(std::string_view name) const = 0;
  [[nodiscard]] virtual std::span<const std::string> file_names() const = 0;
  // Bytes [begin, begin + out.size()) of the tensor's data. Any thread.
  [[nodiscard]] virtual Status read(const TensorInfo& tensor, uint64_t begin,
                                    std::span<std::byte> out) const = 0;
};

}  // namespace pegainfer
