#include "checkpoint/tensor_files.h"

#include <fmt/core.h>

#include <memory>
#include <utility>

#include "base/check.h"
#include "checkpoint/names.h"

namespace pegainfer {

FileTensorSource::FileTensorSource(std::vector<File> files, std::vector<TensorInfo> tensors)
    : files_(std::move(files)), tensors_(std::move(tensors)) {
  names_.reserve(files_.size());
  for (const File& file : files_) names_.push_back(file.path());
  by_name_.reserve(tensors_.size());
}

Result<std::unique_ptr<TensorSource>> FileTensorSource::create(std::vector<File> files,
                                                               std::vector<TensorInfo> tensors) {
  std::unique_ptr<FileTensorSource> source(new FileTensorSource(std::move(files), std::move(tensors)));
  for (size_t i = 0; i < source->tensors_.size(); ++i) {
    const TensorInfo& tensor = source->tensors_[i];
    const auto [at, added] = source->by_name_.emplace(tensor.name, i);
    if (added) continue;
    const TensorInfo& other = source->tensors_[at->second];
    if (other.file == tensor.file) {
      return invalid_argument(fmt::format("{}: tensor {} is there twice",
                                          source->names_[static_cast<size_t>(tensor.file)],
                                          quote_name(tensor.name)));
    }
    return invalid_argument(fmt::format("tensor {} is in two files: {} and {}", quote_name(tensor.name),
                                        source->names_[static_cast<size_t>(other.file)],
                                        source->names_[static_cast<size_t>(tensor.file)]));
  }
  return std::unique_ptr<TensorSource>(std::move(source));
}

const TensorInfo* FileTensorSource::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &tensors_[at->second];
}

Status FileTensorSource::read(const TensorInfo& tensor, uint64_t begin, std::span<std::byte> out) const {
  CHECK(begin <= tensor.bytes && out.size() <= tensor.bytes - begin, "{}: [{}, {} + {}) of {} bytes",
        tensor.name, begin, begin, out.size(), tensor.bytes);
  return files_.at(static_cast<size_t>(tensor.file)).read(tensor.offset + begin, out);
}

}  // namespace pegainfer
