// FileTensorSource: tensors in one or more open files. The formats' readers validate and build it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "checkpoint/tensor_source.h"

namespace pegainfer {

class FileTensorSource final : public TensorSource {
 public:
  // `tensors` were validated against `files`; an error when two have the same name.
  static Result<std::unique_ptr<TensorSource>> create(std::vector<File> files,
                                                      std::vector<TensorInfo> tensors);

  [[nodiscard]] std::span<const TensorInfo> tensors() const override { return tensors_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  [[nodiscard]] std::span<const std::string> file_names() const override { return names_; }
  [[nodiscard]] Status read(const TensorInfo& tensor, uint64_t begin,
                            std::span<std::byte> out) const override;

 private:
  FileTensorSource(std::vector<File> files, std::vector<TensorInfo> tensors);

  std::vector<File> files_;
  std::vector<std::string> names_;  // [files]
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;  // views into tensors_, which never changes
};

}  // namespace pegainfer
