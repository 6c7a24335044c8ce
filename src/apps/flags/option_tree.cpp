#include "apps/flags/option_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

namespace pegainfer::apps::flags {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
char upper(char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); }

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [name](std::string_view end) { return name.ends_with(end); });
}

}  // namespace

std::vector<CLI::Option*> options_of(const CLI::App& command, bool visible) {
  std::vector<CLI::Option*> out;
  for (const CLI::Option* option : command.get_options())
    if (!visible || !option->get_group().empty()) out.push_back(const_cast<CLI::Option*>(option));
  return out;
}

std::vector<CLI::App*> commands_of(const CLI::App& command) {
  std::vector<CLI::App*> out;
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* app) { return !app->get_name().empty(); }))
    out.push_back(const_cast<CLI::App*>(sub));
  return out;
}

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::string primary_name(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return option.get_lnames().front();
  if (!option.get_snames().empty()) return option.get_snames().front();
  std::string name = option.get_name(true);
  std::transform(name.begin(), name.end(), name.begin(), lower);
  return name;
}

std::vector<std::string> spellings(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  return out;
}

std::string variable_name(std::string_view name) {
  std::string out = "PEGAINFER_";
  for (const char c : name) out += c == '-' ? '_' : upper(c);
  return out;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }
bool takes_many(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

bool negatable(const CLI::Option& option) {
  if (takes_value(option)) return false;
  const std::string negated = "no-" + primary_name(option);
  const std::vector<std::string>& names = option.get_lnames();
  return std::find(names.begin(), names.end(), negated) != names.end();
}

bool secret(const CLI::Option& option) {
  const std::string name = primary_name(option);
  const bool headers = name == "header" || (name.starts_with("otlp") && name.ends_with("headers"));
  return takes_value(option) &&
         (headers || ends_with_any(name, {"api-key", "hf-token", "password", "secret"}));
}

bool is_path(const CLI::Option& option) {
  const std::string name = primary_name(option);
  return takes_value(option) && (ends_with_any(name, {"-file", "-dir", "-path", "keyfile", "certfile"}) ||
                                 name == "model" || name == "config" || name == "path" ||
                                 name == "chat-template" || name == "uds" || name == "tokenizer");
}

CLI::Option* find_option(const CLI::App& command, std::string_view spelling) {
  std::string name(spelling);
  if (!name.starts_with("-")) return nullptr;  // CLI11 would take it for a position
  auto& app = const_cast<CLI::App&>(command);
  if (CLI::Option* option = app.get_option_no_throw(name)) return option;
  if (!name.starts_with("--")) return nullptr;
  std::replace(name.begin() + 2, name.end(), '_', '-');
  return app.get_option_no_throw(name);
}

std::string group_title(const CLI::Option& option) {
  return option.get_group() == "Options" ? "General" : option.get_group();
}

std::string group_key(std::string_view title) {
  std::string key(title.substr(0, title.find(' ')));
  std::transform(key.begin(), key.end(), key.begin(), lower);
  return key;
}

}  // namespace pegainfer::apps::flags
