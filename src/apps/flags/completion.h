// Completion scripts for shells, made from the option tree.
#pragma once

#include <string>

#include "pegainfer/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

// `shell`: bash, zsh or fish.
Result<std::string> completion_script(const CLI::App& root, const std::string& shell);

}  // namespace pegainfer::apps::flags
