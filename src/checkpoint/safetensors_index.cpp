// model.safetensors.index.json: which tensor lies in which shard.
#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <utility>

#include "base/json.h"
#include "checkpoint/names.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_files.h"

namespace pegainfer {
namespace {

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr std::string_view kSuffix = ".safetensors";

using WeightMap = std::map<std::string, std::vector<std::string>>;  // shard -> names of its tensors

Result<WeightMap> read_weight_map(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxIndexBytes));
  const Result<json::Value> parsed = json::parse(text);
  if (!parsed) return invalid_argument(fmt::format("{}: {}", path, parsed.error().message));
  const json::Object* top = parsed->if_object();
  const json::Value* map = top == nullptr ? nullptr : json::find(*top, "weight_map");
  if (map == nullptr || !map->is_object() || map->get_object().empty()) {
    return invalid_argument(fmt::format(
        "{}: \"weight_map\" is missing, empty or not an object of tensor name to file name", path));
  }
  WeightMap shards;
  for (const auto& member : map->get_object()) {
    const std::string_view tensor(member.key().data(), member.key().size());
    if (!member.value().is_string()) {
      return invalid_argument(fmt::format("{}: \"weight_map\": {} is {}, expected a file name", path,
                                          quote_name(tensor), json::kind_name(member.value())));
    }
    const std::string shard(member.value().get_string());
    if (!is_plain_file_name(shard)) {
      return invalid_argument(
          fmt::format("{}: \"weight_map\": {} is not a plain file name", path, quote_name(shard)));
    }
    if (!shard.ends_with(kSuffix)) {
      return unsupported(
          fmt::format("{}: \"weight_map\": {}: only .safetensors shards are read", path, quote_name(shard)));
    }
    shards[shard].emplace_back(tensor);
  }
  return shards;
}

}  // namespace

Result<std::unique_ptr<TensorSource>> open_sharded_safetensors(const std::string& index_path) {
  ASSIGN_OR_RETURN(const WeightMap shards, read_weight_map(index_path));
  const std::filesystem::path folder = std::filesystem::path(index_path).parent_path();
  std::vector<File> files;
  std::vector<TensorInfo> tensors;
  for (const auto& [shard, names] : shards) {
    Result<File> file = File::open((folder / shard).string());
    if (!file) {
      return Error{file.error().code,
                   fmt::format("{} (a shard that {} names)", file.error().message, index_path),
                   {},
                   {}};
    }
    ASSIGN_OR_RETURN(std::vector<TensorInfo> part, read_safetensors(*file, static_cast<int>(files.size())));
    files.push_back(*std::move(file));
    tensors.insert(tensors.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TensorSource> source,
                   FileTensorSource::create(std::move(files), std::move(tensors)));
  // Tensors that the index does not mention are kept: whether they are surplus is the model's to say.
  size_t index = 0;
  for (const auto& [shard, names] : shards) {
    for (const std::string& name : names) {
      const TensorInfo* tensor = source->find(name);
      if (tensor != nullptr && static_cast<size_t>(tensor->file) == index) continue;
      return invalid_argument(fmt::format("{}: tensor {} is not in {}, where the index has it", index_path,
                                          quote_name(name), shard));
    }
    ++index;
  }
  return source;
}

}  // namespace pegainfer
