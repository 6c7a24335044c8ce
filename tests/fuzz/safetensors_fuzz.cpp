// safetensors: every tensor that is accepted lies within the file.
#include <algorithm>

#include "checkpoint/safetensors.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  static fuzz::MemoryFile file;
  const auto source = open_safetensors(file.hold(data, size));
  if (!source) {
    fuzz::check_message(source.error().message);
    return 0;
  }
  for (const TensorInfo& tensor : (*source)->tensors()) {
    CHECK(tensor.bytes <= size && tensor.offset <= size - tensor.bytes, "{}: {} at {} of {}", tensor.name,
          tensor.bytes, tensor.offset, size);
    std::vector<std::byte> some(std::min<uint64_t>(tensor.bytes, 16));
    CHECK((*source)->read(tensor, tensor.bytes - some.size(), some));
    CHECK((*source)->find(tensor.name) != nullptr);
  }
  return 0;
}
