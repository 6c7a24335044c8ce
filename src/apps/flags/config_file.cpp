#include "apps/flags/config_file.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace pegainfer::apps::flags {
namespace {

constexpr size_t kMostBytes = 1U << 20U;

Error wrong(const std::string& file, int line, const std::string& what) {
  return invalid_argument(fmt::format("{}, line {}: {}", file, line, what), "--config");
}

Result<ConfigEntry> read_entry(const YAML::Node& key, const YAML::Node& value, const std::string& file) {
  ConfigEntry entry{.line = key.Mark().line + 1};
  if (!key.IsScalar()) return wrong(file, entry.line, "a key must be the name of a flag");
  entry.key = key.Scalar();
  if (value.IsScalar()) {
    entry.values = {value.Scalar()};
    return entry;
  }
  if (value.IsNull())
    return wrong(file, entry.line,
                 fmt::format("{} has no value; leave the line out for the default", entry.key));
  entry.list = true;
  for (const YAML::Node& item : value) {
    if (!value.IsSequence() || !item.IsScalar())
      return wrong(file, entry.line,
                   fmt::format("{} is nested: it must be a value or a list of values", entry.key));
    entry.values.push_back(item.Scalar());
  }
  if (value.IsMap() || entry.values.empty())
    return wrong(file, entry.line, fmt::format("{} is empty", entry.key));
  return entry;
}

}  // namespace

Result<std::vector<ConfigEntry>> parse_config(const std::string& text, const std::string& name) try {
  const YAML::Node root = YAML::Load(text);
  std::vector<ConfigEntry> entries;
  if (root.IsNull()) return entries;
  if (!root.IsMap()) return wrong(name, root.Mark().line + 1, "it must be lines of `flag: value`");
  for (const auto& item : root) {
    ASSIGN_OR_RETURN(ConfigEntry entry, read_entry(item.first, item.second, name));
    entries.push_back(std::move(entry));
  }
  return entries;
} catch (const YAML::Exception& e) {  // the library's own way to say that it is no YAML
  return wrong(name, e.mark.line + 1, e.msg);
}

Result<std::vector<ConfigEntry>> read_config_file(const std::string& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, ignored))  // a folder opens, too
    return invalid_argument(path + ": the configuration file cannot be read", "--config");
  std::ostringstream text;
  text << file.rdbuf();
  if (text.str().size() > kMostBytes)
    return invalid_argument(path + ": too large for a configuration file", "--config");
  return parse_config(text.str(), path);
}

}  // namespace pegainfer::apps::flags
