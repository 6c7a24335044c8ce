#include "apps/flags/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

// What a flag's value may be, where it is one of a few words.
constexpr std::pair<std::string_view, std::string_view> kWords[] = {
    {"device", "auto cpu cuda"},
    {"dtype", "auto bfloat16 float32"},
    {"kv-cache-dtype", "auto bfloat16 float32"},
    {"load-format", "auto dummy"},
    {"log-level", "debug info warn error"},
    {"log-format", "text json"},
    {"reasoning-field", "reasoning_content reasoning both"},
    {"dataset-name", "random custom"},
    {"endpoint", "/v1/completions /v1/chat/completions"},
};

std::string_view words_of(const CLI::Option& option) {
  const std::string name = primary_name(option);
  for (const auto& [flag, words] : kWords)
    if (flag == name) return words;
  return {};
}

// Of a command: its flags, or its commands.
std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> out = {"--help"};
  for (const CLI::Option* option : options_of(command, true)) {
    if (!option->get_lnames().empty()) {
      out.push_back("--" + primary_name(*option));
    } else if (!option->get_snames().empty()) {
      out.push_back("-" + option->get_snames().front());
    }
    if (negatable(*option)) out.push_back("--no-" + primary_name(*option));
  }
  return out;
}

bool has_position(const CLI::App& command) {
  const auto options = options_of(command, true);
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* o) { return o->get_positional(); });
}

std::vector<const CLI::App*> all_commands(const CLI::App& app) {
  std::vector<const CLI::App*> out = {&app};
  for (const CLI::App* sub : commands_of(app)) {
    const auto below = all_commands(*sub);
    out.insert(out.end(), below.begin(), below.end());
  }
  return out;
}

// "a|b)" patterns of flags with their values, by command.
std::string bash_values(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : options_of(command, true)) {
    const auto names = spellings(*option);
    if (!takes_value(*option) || names.empty()) continue;
    const std::string pattern = fmt::format("      \"{}|\"{})", full_name(command),
                                            fmt::join(names, fmt::format("|\"{}|\"", full_name(command))));
    const std::string_view words = words_of(*option);
    if (!words.empty()) {
      out += fmt::format("{} COMPREPLY=($(compgen -W '{}' -- \"$current\")); return ;;\n", pattern, words);
    } else if (is_path(*option)) {
      out += fmt::format("{} _pegainfer_files; return ;;\n", pattern);
    } else {
      out += fmt::format("{} COMPREPLY=(); return ;;\n", pattern);
    }
  }
  return out;
}

std::string bash(const CLI::App& root) {
  std::string values;
  std::string lists;
  std::string paths;
  for (const CLI::App* command : all_commands(root)) {
    values += bash_values(*command);
    std::vector<std::string> subs;
    for (const CLI::App* sub : commands_of(*command)) subs.push_back(sub->get_name());
    lists +=
        fmt::format("    \"{}\") flags='{}'; commands='{}'; files={} ;;\n", full_name(*command),
                    fmt::join(flags_of(*command), " "), fmt::join(subs, " "), has_position(*command) ? 1 : 0);
    for (const CLI::App* sub : commands_of(*command))
      paths += fmt::format("      \"{} {}\") path=\"{}\" ;;\n", full_name(*command), sub->get_name(),
                           full_name(*sub));
  }
  return fmt::format(R"(# bash completion for pegainfer, made by `pegainfer completion bash`.
_pegainfer_files() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}
_pegainfer() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" path=pegainfer flags='' commands='' files=0 word
  COMPREPLY=()
  # Bash splits --flag=value into three words.
  if [[ $current == '=' ]]; then current=''; elif [[ $previous == '=' ]]; then previous="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{paths}    esac
  done
  case "$path|$previous" in
{values}  esac
  case "$path" in
{lists}  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  elif [[ $files == 1 ]]; then
    _pegainfer_files
  fi
}}
complete -F _pegainfer pegainfer
)",
                     fmt::arg("paths", paths), fmt::arg("values", values), fmt::arg("lists", lists));
}

std::string quoted(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_spec(const CLI::Option& option) {
  const std::string text = quoted(option.get_description(), "[]:\\");
  std::string value;
  if (takes_value(option)) {
    const std::string_view words = words_of(option);
    value = fmt::format(":{}:{}", primary_name(option),
                        !words.empty()    ? fmt::format("({})", words)
                        : is_path(option) ? "_files"
                                          : " ");
  }
  std::string out;
  for (const std::string& name : spellings(option)) {
    const std::string repeated = takes_many(option) ? "*" : "";
    out += fmt::format("        '{}{}[{}]{}' \\\n", repeated, name, text, value);
  }
  if (option.get_positional()) out += fmt::format("        '::{}:_files' \\\n", option.get_name(true));
  return out;
}

std::string zsh_function(const CLI::App& command) {
  std::string name = full_name(command);
  std::replace(name.begin(), name.end(), ' ', '_');
  std::string out = fmt::format("_{}() {{\n", name);
  const auto subs = commands_of(command);
  if (subs.empty()) {
    out += "    _arguments -s \\\n";
    for (const CLI::Option* option : options_of(command, true)) out += zsh_spec(*option);
    return out + "        '(-h --help)'{-h,--help}'[Help]'\n}\n";
  }
  out += "    local -a commands=(\n";
  for (const CLI::App* sub : subs)
    out += fmt::format("        '{}:{}'\n", sub->get_name(), quoted(sub->get_description(), ":\\"));
  out += "    )\n    if (( CURRENT == 2 )); then _describe command commands; return; fi\n";
  out += "    shift words; (( CURRENT-- ))\n    case $words[1] in\n";
  for (const CLI::App* sub : subs) out += fmt::format("        {0}) _{1}_{0} ;;\n", sub->get_name(), name);
  out += "    esac\n}\n";
  for (const CLI::App* sub : subs) out += zsh_function(*sub);
  return out;
}

std::string zsh(const CLI::App& root) {
  return "#compdef pegainfer\n# zsh completion for pegainfer, made by `pegainfer completion zsh`.\n" +
         zsh_function(root) +
         "if [ \"$funcstack[1]\" = _pegainfer ]; then _pegainfer \"$@\"; else compdef _pegainfer pegainfer; "
         "fi\n";
}

std::string fish(const CLI::App& root) {
  std::string out =
      "# fish completion for pegainfer, made by `pegainfer completion fish`.\ncomplete -c pegainfer -f\n";
  for (const CLI::App* command : all_commands(root)) {
    std::string condition;
    if (command == &root) {
      condition = "__fish_use_subcommand";
    } else {
      const std::string parent =
          command->get_parent() == &root
              ? ""
              : "__fish_seen_subcommand_from " + command->get_parent()->get_name() + "; and ";
      condition = parent + "__fish_seen_subcommand_from " + command->get_name();
    }
    for (const CLI::App* sub : commands_of(*command))
      out += fmt::format("complete -c pegainfer -n '{}' -a {} -d '{}'\n", condition, sub->get_name(),
                         quoted(sub->get_description(), "\\"));
    for (const CLI::Option* option : options_of(*command, true)) {
      std::string names;
      for (const std::string& l : option->get_lnames()) names += " -l " + l;
      for (const std::string& s : option->get_snames()) names += " -s " + s;
      std::string value;
      if (takes_value(*option)) {
        const std::string_view words = words_of(*option);
        value = !words.empty() ? fmt::format(" -x -a '{}'", words) : is_path(*option) ? " -r -F" : " -x";
      }
      if (!names.empty())
        out += fmt::format("complete -c pegainfer -n '{}'{}{} -d '{}'\n", condition, names, value,
                           quoted(option->get_description(), "\\"));
      if (option->get_positional()) out += fmt::format("complete -c pegainfer -n '{}' -F\n", condition);
    }
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(const CLI::App& root, const std::string& shell) {
  if (shell == "bash") return bash(root);
  if (shell == "zsh") return zsh(root);
  if (shell == "fish") return fish(root);
  return invalid_argument("completion " + shell + ": it must be bash, zsh or fish", "SHELL");
}

}  // namespace pegainfer::apps::flags
