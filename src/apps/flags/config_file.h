// A configuration file: YAML (and so JSON), one flag a key, with dashes or underscores.
#pragma once

#include <string>
#include <vector>

#include "pegainfer/result.h"

namespace pegainfer::apps::flags {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;
  bool list = false;
  int line = 0;  // from 1
};

// An error names the file and the line. Nothing nested: a value is a scalar or a list of scalars.
Result<std::vector<ConfigEntry>> read_config_file(const std::string& path);
// The same of a text; `name` is that of the file, for errors.
Result<std::vector<ConfigEntry>> parse_config(const std::string& text, const std::string& name);

}  // namespace pegainfer::apps::flags
