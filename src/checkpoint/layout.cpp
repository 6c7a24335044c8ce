#include "checkpoint/layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "checkpoint/gguf.h"

namespace pegainfer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNoPickle =
    "pickle weights are programs and are never read; convert the model to safetensors";

// Extensions of files that torch.load would run.
bool is_pickle(const fs::path& path) {
  constexpr std::array<std::string_view, 6> kExtensions{".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"};
  return std::find(kExtensions.begin(), kExtensions.end(), path.extension().string()) != kExtensions.end();
}

struct Listing {
  std::vector<std::string> gguf, safetensors, pickle;  // file names, sorted
};

Result<Listing> list(const fs::path& directory) {
  Listing out;
  std::error_code ec;
  for (fs::directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) {
    const fs::path name = it->path().filename();
    if (name.extension() == ".gguf") out.gguf.push_back(name.string());
    if (name.extension() == ".safetensors") out.safetensors.push_back(name.string());
    if (is_pickle(name)) out.pickle.push_back(name.string());
  }
  if (ec) return io_error(fmt::format("{}: {}", directory.string(), ec.message()));
  for (auto* names : {&out.gguf, &out.safetensors, &out.pickle}) std::sort(names->begin(), names->end());
  return out;
}

std::string joined(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kShown) out += fmt::format(" and {} more", names.size() - kShown);
  return out;
}

Result<Layout> refuse(Layout layout, bool need_weights, Error error) {
  if (need_weights) return error;
  layout.missing_weights = std::move(error.message);
  return layout;
}

Result<Layout> find_in_directory(const std::string& directory, bool need_weights) {
  Layout layout;
  layout.directory = directory;
  if (std::string single = file_in(directory, "model.safetensors"); !single.empty()) {
    layout.weights = WeightsKind::kSafetensors;
    layout.weights_path = std::move(single);
    return layout;
  }
  if (std::string index = file_in(directory, "model.safetensors.index.json"); !index.empty()) {
    layout.weights = WeightsKind::kSafetensorsIndex;
    layout.weights_path = std::move(index);
    return layout;
  }
  ASSIGN_OR_RETURN(const Listing found, list(directory));
  if (found.gguf.size() == 1) {
    layout.weights = WeightsKind::kGguf;
    layout.weights_path = (fs::path(directory) / found.gguf[0]).string();
    return layout;
  }
  if (found.gguf.size() > 1) {
    return refuse(layout, need_weights,
                  invalid_argument(fmt::format("{}: holds {} GGUF files ({}); name one of them", directory,
                                               found.gguf.size(), joined(found.gguf))));
  }
  if (!found.safetensors.empty()) {
    return refuse(layout, need_weights,
                  not_found(fmt::format("{}: holds {}, but neither model.safetensors nor "
                                        "model.safetensors.index.json",
                                        directory, joined(found.safetensors))));
  }
  if (!found.pickle.empty()) {
    return refuse(
        layout, need_weights,
        unsupported(fmt::format("{}: holds only {}: {}", directory, joined(found.pickle), kNoPickle)));
  }
  return refuse(
      layout, need_weights,
      not_found(fmt::format("{}: no weights: neither model.safetensors, model.safetensors.index.json "
                            "nor a .gguf file",
                            directory)));
}

}  // namespace

std::string file_in(const std::string& directory, const std::string& name) {
  const fs::path path = fs::path(directory) / name;
  std::error_code ec;
  // A directory of that name is not skipped: reading it gives the error that says so.
  return fs::exists(path, ec) ? path.string() : std::string();
}

Result<Layout> find_layout(const std::string& path, bool need_weights) {
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  if (!fs::exists(status)) return not_found(fmt::format("{}: no such file or directory", path));
  if (fs::is_directory(status)) return find_in_directory(path, need_weights);
  const fs::path file(path);
  if (is_pickle(file)) return unsupported(fmt::format("{}: {}", path, kNoPickle));
  Layout layout;
  layout.directory = file.parent_path().empty() ? "." : file.parent_path().string();
  if (!need_weights && file.filename() == "tokenizer.json") return layout;
  if (file.extension() == ".safetensors") {
    return invalid_argument(
        fmt::format("{}: a .safetensors file alone does not say what the model is; name its folder, which "
                    "has config.json",
                    path));
  }
  ASSIGN_OR_RETURN(const File opened, File::open(path));
  ASSIGN_OR_RETURN(const bool gguf, has_gguf_magic(opened));
  if (!gguf && file.extension() != ".gguf") {
    return invalid_argument(
        fmt::format("{}: not a GGUF file, expected one or a folder with config.json", path));
  }
  layout.weights = WeightsKind::kGguf;
  layout.weights_path = path;
  return layout;
}

}  // namespace pegainfer
