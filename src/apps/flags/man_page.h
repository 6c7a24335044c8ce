// pegainfer(1) in troff, made from the option tree.
#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

std::string man_page(const CLI::App& root, const std::string& version);

}  // namespace pegainfer::apps::flags
