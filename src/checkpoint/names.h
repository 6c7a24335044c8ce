// Names that come from a file: of tensors, metadata keys, shards.
#pragma once

#include <string>
#include <string_view>

namespace pegainfer {

inline constexpr size_t kMaxTensorNameBytes = 1024;

// Why `name` cannot be a tensor's or a metadata key's: empty, too long, broken UTF-8, control bytes. "" when
// it can.
[[nodiscard]] std::string_view name_fault(std::string_view name, size_t max_bytes);

// A name for messages and tables: in quotes, control bytes escaped, cut after 80 bytes.
[[nodiscard]] std::string quote_name(std::string_view name);

// A plain file name: no folder, no "..", no NUL; what an index may refer to.
[[nodiscard]] bool is_plain_file_name(std::string_view name);

}  // namespace pegainfer
