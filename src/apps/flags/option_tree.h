// The options of a command line as its readers see them: names, what they take, the variable that sets them.
// All of help, completions, the manual page, environment and configuration files is made by walking CLI11's
// tree through these, so a flag that is added anywhere is covered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI

namespace pegainfer::apps::flags {

// In the order they were added. `visible`: without those of no group, which are for developers.
std::vector<CLI::Option*> options_of(const CLI::App& command, bool visible);
// Subcommands in the order they were added.
std::vector<CLI::App*> commands_of(const CLI::App& command);
// "pegainfer bench serve".
std::string full_name(const CLI::App& command);

// "max-model-len"; of an option that is only a position its name in small letters.
std::string primary_name(const CLI::Option& option);
// Every spelling with its dashes, the primary one first; none for what is only a position.
std::vector<std::string> spellings(const CLI::Option& option);
// "PEGAINFER_MAX_MODEL_LEN" of "max-model-len".
std::string variable_name(std::string_view name);

bool takes_value(const CLI::Option& option);  // false: a flag that is there or not
bool takes_many(const CLI::Option& option);   // may be given several times
// A flag with a "--no-" form.
bool negatable(const CLI::Option& option);
// Its value is a secret: never shown.
bool secret(const CLI::Option& option);
// Its value is the name of a file or folder.
bool is_path(const CLI::Option& option);

// By a spelling with dashes, as "--max-model-len", "-m" or "--max_model_len"; null: this command has none
// such.
CLI::Option* find_option(const CLI::App& command, std::string_view spelling);

// "general" for the group that CLI11 calls Options, else the group's first word: what --help takes.
std::string group_title(const CLI::Option& option);
std::string group_key(std::string_view title);

}  // namespace pegainfer::apps::flags
