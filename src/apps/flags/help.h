// --help: an overview with the flags most people need, and a screen for each group.
#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

// `topic`: "" for the overview, "all", or a group's first word; an unknown one gives the overview with a line
// about it.
std::string help(const CLI::App& command, const std::string& topic);

}  // namespace pegainfer::apps::flags
