// GGUF files, as far as a checkpoint is opened: metadata, tensors, configuration, vocabulary, tokenizer.
#include <algorithm>

#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/tensor_files.h"
#include "fuzz.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

Status read(const std::string& path) {
  ASSIGN_OR_RETURN(File file, File::open(path));
  ASSIGN_OR_RETURN(GgufFile gguf, read_gguf(file));
  const uint64_t file_size = file.size();
  std::vector<File> files;
  files.push_back(std::move(file));
  ASSIGN_OR_RETURN(const auto tensors, FileTensorSource::create(std::move(files), std::move(gguf.tensors)));
  for (const TensorInfo& tensor : tensors->tensors()) {
    CHECK(tensor.bytes <= file_size && tensor.offset <= file_size - tensor.bytes, "{}: {} at {} of {}",
          tensor.name, tensor.bytes, tensor.offset, file_size);
    std::vector<std::byte> some(std::min<uint64_t>(tensor.bytes, 16));
    RETURN_IF_ERROR(tensors->read(tensor, tensor.bytes - some.size(), some));
  }
  if (const auto config = parse_gguf_config(gguf.metadata, *tensors); !config) {
    fuzz::check_message(config.error().message);
  }
  if (const auto generation = parse_gguf_generation(gguf.metadata); !generation) {
    fuzz::check_message(generation.error().message);
  }
  ASSIGN_OR_RETURN(const GgufVocab vocab, take_gguf_vocab(gguf.metadata));
  ASSIGN_OR_RETURN(const auto tokenizer, make_tokenizer(vocab));
  for (const TokenId id : tokenizer->encode("the <|im_start|> \xC3\xA9")) CHECK(id < tokenizer->vocab_size());
  return ok_status();
}

}  // namespace
}  // namespace pegainfer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static pegainfer::fuzz::MemoryFile file;
  const pegainfer::Status status = pegainfer::read(file.hold(data, size));
  if (!status) pegainfer::fuzz::check_message(status.error().message);
  return 0;
}
