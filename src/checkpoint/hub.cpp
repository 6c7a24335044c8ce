// The Hugging Face cache on disk: <cache>/models--<org>--<name>/{refs/<revision>, snapshots/<commit>/...}.
// Nothing is downloaded.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/environment.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

namespace fs = std::filesystem;

// Empty when not even a home is known.
fs::path cache_folder() {
  if (const auto v = environment("HF_HUB_CACHE")) return *v;
  if (const auto v = environment("HF_HOME")) return fs::path(*v) / "hub";
  if (const auto v = environment("XDG_CACHE_HOME")) return fs::path(*v) / "huggingface" / "hub";
  if (const auto v = environment("HOME")) return fs::path(*v) / ".cache" / "huggingface" / "hub";
  return {};
}

// A part of a hub name or of a revision: letters, digits, '.', '_', '-', none of which makes it climb.
bool is_hub_word(std::string_view word) {
  if (word.empty() || word.size() > 96 || word.find("..") != std::string_view::npos) return false;
  if (word.front() == '.' || word.front() == '-' || word.back() == '.' || word.back() == '-') return false;
  return std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

struct HubName {
  std::string repository;         // "org/name" or "name"
  std::string revision = "main";  // may hold slashes: "refs/pr/1"
};

std::optional<HubName> parse_hub_name(std::string_view text) {
  HubName out;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    out.revision = text.substr(at + 1);
    text = text.substr(0, at);
    std::string_view rest = out.revision;
    while (true) {
      const size_t slash = rest.find('/');
      if (!is_hub_word(rest.substr(0, slash))) return std::nullopt;
      if (slash == std::string_view::npos) break;
      rest.remove_prefix(slash + 1);
    }
  }
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos && !is_hub_word(text.substr(0, slash))) return std::nullopt;
  const std::string_view name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  if (!is_hub_word(name) || text.find("--") != std::string_view::npos) return std::nullopt;
  out.repository = text;
  return out;
}

bool is_there(const fs::path& path) {
  std::error_code ec;
  return fs::exists(path, ec);
}

// The commit that refs/<revision> names; "" when there is no such ref.
Result<std::string> read_ref(const fs::path& repository, const std::string& revision) {
  const fs::path ref = repository / "refs" / revision;
  std::error_code ec;
  if (!fs::is_regular_file(ref, ec)) return std::string();
  ASSIGN_OR_RETURN(std::string commit, read_text_file(ref.string(), 256));
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r' || commit.back() == ' ')) {
    commit.pop_back();
  }
  if (is_hub_word(commit)) return commit;
  return invalid_argument(
      fmt::format("{}: holds {}, expected the name of a commit", ref.string(), quote_name(commit)));
}

Result<std::string> find_in_cache(const HubName& name, const fs::path& cache) {
  std::string folder = "models--" + name.repository;
  if (const size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
  const fs::path repository = cache / folder;
  if (!is_there(repository)) {
    return not_found(
        fmt::format("{}: neither a path nor a model in the Hugging Face cache, {} (download it "
                    "there first, for example with: hf download {})",
                    quote_name(name.repository), cache.string(), name.repository));
  }
  ASSIGN_OR_RETURN(std::string commit, read_ref(repository, name.revision));
  if (commit.empty()) commit = name.revision;  // a commit may be named directly
  const fs::path snapshot = repository / "snapshots" / commit;
  std::error_code ec;
  if (commit.find('/') == std::string::npos && fs::is_directory(snapshot, ec)) return snapshot.string();
  return not_found(fmt::format("{}: revision {} is not in the Hugging Face cache: no {}",
                               quote_name(name.repository), quote_name(name.revision), snapshot.string()));
}

}  // namespace

Result<std::string> resolve_model_path(const std::string& name) {
  if (name.empty()) return invalid_argument("the model's name is empty, expected a path or org/name");
  if (name.find('\0') != std::string::npos) return invalid_argument("the model's name contains a NUL byte");
  if (is_there(name)) return name;
  const std::optional<HubName> hub = parse_hub_name(name);
  if (!hub) {
    return not_found(fmt::format("{}: no such file or directory, and not a hub name (org/name[@revision])",
                                 quote_name(name)));
  }
  const fs::path cache = cache_folder();
  if (cache.empty()) {
    return not_found(
        fmt::format("{}: no such file or directory, and no Hugging Face cache: HF_HUB_CACHE, "
                    "HF_HOME, XDG_CACHE_HOME and HOME are not set",
                    quote_name(name)));
  }
  return find_in_cache(*hub, cache);
}

}  // namespace pegainfer
