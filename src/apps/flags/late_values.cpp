#include "apps/flags/late_values.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

#include "apps/flags/config_file.h"
#include "apps/flags/foreign_flags.h"
#include "apps/flags/option_tree.h"
#include "base/json.h"
#include "pegainfer/result.h"

namespace pegainfer::apps::flags {
namespace {

constexpr std::string_view kPrefix = "PEGAINFER_";
// Read elsewhere than on the command line, or by the build.
constexpr std::string_view kOtherVariables[] = {"PEGAINFER_CUDA_MODULE", "PEGAINFER_CACHE_DIR",
                                                "PEGAINFER_CPU_ISA", "PEGAINFER_GPU_MODULE"};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<bool> as_switch(const std::string& text) {
  const std::string word = lower(text);
  for (const char* yes : {"true", "1", "yes", "on", "y"})
    if (word == yes) return true;
  for (const char* no : {"false", "0", "no", "off", "n"})
    if (word == no) return false;
  return std::nullopt;
}

// "a,b", or a JSON list of texts for those that hold commas themselves.
std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> out;
  const auto json = text.starts_with('[') ? json::parse(text) : Result<json::Value>(json::Value());
  if (json && json->is_array() &&
      std::ranges::all_of(json->get_array(), [](const json::Value& v) { return v.is_string(); })) {
    for (const json::Value& item : json->get_array()) out.emplace_back(item.get_string());
    return out;
  }
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// Kubernetes tells containers of a service named "pegainfer" its addresses in variables like ours.
bool from_kubernetes(const std::string& name, const std::string& value) {
  return name.starts_with("PEGAINFER_SERVICE_") || name.starts_with("PEGAINFER_PORT_") ||
         (name == "PEGAINFER_PORT" && value.find("://") != std::string::npos);
}

// "http://name:password@host".
bool has_password(const std::string& value) {
  const size_t scheme = value.find("://");
  if (scheme == std::string::npos) return false;
  const size_t begin = scheme + 3;
  return value.substr(begin, value.find_first_of("/?#", begin) - begin).find('@') != std::string::npos;
}

// As YAML: bare where that is the same text again.
std::string yaml_scalar(const std::string& value) {
  const bool bare = !value.empty() && std::isalnum(static_cast<unsigned char>(value[0])) != 0 &&
                    std::all_of(value.begin(), value.end(), [](unsigned char c) {
                      return std::isalnum(c) != 0 ||
                             std::string_view("_./-+").find(static_cast<char>(c)) != std::string_view::npos;
                    });
  if (bare || (value.size() > 1 && value[0] == '/' && yaml_scalar(value.substr(1)) == value.substr(1)))
    return value;
  std::string out = "\"";
  for (const char c : value) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7f) {
      out += fmt::format("\\x{:02x}", u);
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The default as YAML. A flag's is known when it was given with it, and else is off.
std::string default_text(CLI::Option& option) {
  if (!takes_value(option)) return option.get_default_str().empty() ? "false" : option.get_default_str();
  option.capture_default_str();
  const std::string text = option.get_default_str();
  return takes_many(option) && text.empty() ? "[]" : text == "[]" ? text : yaml_scalar(text);
}

// Where CLI11 lets others add values: when the words have been read and nothing has been checked.
class Hook final : public CLI::Config {
 public:
  explicit Hook(std::function<void()> fill) : fill_(std::move(fill)) {}
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }
  std::vector<CLI::ConfigItem> from_config(std::istream&) const override {
    fill_();
    return {};
  }

 private:
  std::function<void()> fill_;
};

struct Source {
  std::string where;      // "PEGAINFER_PORT" or "/etc/pegainfer.yaml"
  size_t num_values = 0;  // that it gave
};

}  // namespace

struct LateValues::Impl {
  CLI::App* root = nullptr;
  CLI::App* command = nullptr;
  std::vector<std::pair<std::string, std::string>> environment;  // of ours, without empty ones
  std::map<const CLI::Option*, Source> sources;
  std::vector<std::string> warnings;

  void add_to(CLI::App& app) {
    for (CLI::App* sub : commands_of(app)) add_to(*sub);
    if (!commands_of(app).empty() || options_of(app, true).empty() || find_option(app, "--config") != nullptr)
      return;
    app.add_option("--config", "A YAML file of flags, one a line; the command line and the environment win")
        ->group("Configuration");
    app.add_flag("--print-config")
        ->description("Print the options in force and where each comes from, and end")
        ->group("Configuration");
  }

  [[nodiscard]] const std::string* variable(const std::string& name) const {
    for (const auto& [key, value] : environment)
      if (key == name) return &value;
    return nullptr;
  }

  void give(CLI::Option& option, const std::string& name, const std::vector<std::string>& values,
            const std::string& label, const std::string& where) {
    if (!takes_value(option)) {
      const auto on = values.size() == 1 ? as_switch(values.front()) : std::nullopt;
      if (!on) throw CLI::ConversionError(label + " must be true or false");
      option.add_result(option.get_flag_value(name, *on ? "true" : "false"));
    } else {
      for (const std::string& value : values) option.add_result(value);
    }
    sources[&option] = {where, values.size()};
  }

  // The names of the option, the primary one first, and those of other servers.
  [[nodiscard]] std::vector<std::string> names_of(const CLI::Option& option) const {
    std::vector<std::string> names;
    for (const std::string& spelling : spellings(option)) {
      if (!spelling.starts_with("--")) continue;
      names.push_back(spelling.substr(2));
      for (const std::string& other : other_spellings(*command, spelling))
        if (other.starts_with("--")) names.push_back(other.substr(2));
    }
    return names;
  }

  // Another spelling's flag may stand for ours turned off.
  [[nodiscard]] std::string own_name(const std::string& name) const {
    const auto own = own_spelling(*command, "--" + name);
    return own ? own->substr(2, own->find('=') - 2) : name;
  }

  void fill_from_environment() {
    for (CLI::Option* option : options_of(*command, false)) {
      if (option->count() > 0) continue;
      for (const std::string& name : names_of(*option)) {
        const std::string label = variable_name(name);
        const std::string* value = variable(label);
        if (value == nullptr) continue;
        give(*option, own_name(name), takes_many(*option) ? split_list(*value) : std::vector{*value}, label,
             label);
        break;
      }
    }
  }

  void fill_from_file() {
    const CLI::Option* config = find_option(*command, "--config");
    if (config == nullptr || config->count() == 0) return;
    const std::string path = config->results().back();
    const auto entries = read_config_file(path);
    if (!entries) throw CLI::ValidationError("--config", entries.error().message);
    for (const ConfigEntry& entry : *entries) fill_from(entry, path);
  }

  void fill_from(const ConfigEntry& entry, const std::string& path) {
    const std::string label = fmt::format("{}, line {}: {}", path, entry.line, entry.key);
    std::string name = entry.key;
    std::replace(name.begin(), name.end(), '_', '-');
    std::vector<std::string> values = entry.values;
    if (const auto own = own_spelling(*command, "--" + name)) {
      const size_t equals = own->find('=');
      name = own->substr(2, equals == std::string::npos ? equals : equals - 2);
      if (equals != std::string::npos) {  // as `log-json: true`
        const auto on = as_switch(values.front());
        if (!on) throw CLI::ConversionError(label + " must be true or false");
        if (!*on) return;
        values = {own->substr(equals + 1)};
      }
    }
    CLI::Option* option = find_option(*command, "--" + name);
    if (option == nullptr) option = positional(name);
    if (option == nullptr || name == "config" || name == "print-config") return refuse(label, name);
    if (entry.list && !takes_many(*option))
      throw CLI::ConversionError(label + " takes one value, not a list");
    const auto given = sources.find(option);
    if (given != sources.end() && given->second.where == path)
      throw CLI::ConversionError(label + " was there before");
    if (option->count() == 0) give(*option, name, values, label, path);
  }

  [[nodiscard]] CLI::Option* positional(const std::string& name) const {
    for (CLI::Option* option : options_of(*command, false))
      if (option->get_positional() && lower(option->get_name(true)) == name) return option;
    return nullptr;
  }

  void refuse(const std::string& label, const std::string& name) {
    if (const ForeignFlag* foreign = find_foreign("--" + name)) {
      if (foreign->verdict == ForeignFlag::Verdict::kRefused)
        throw CLI::ConversionError(fmt::format("{} has no meaning here: {}", label, foreign->text));
      warnings.push_back(fmt::format("{} is ignored: {}", label, foreign->text));
      return;
    }
    std::vector<std::string> known;
    for (const std::string& spelling : known_spellings(*command))
      if (spelling.starts_with("--") && spelling != "--config") known.push_back(spelling.substr(2));
    throw CLI::ConversionError(
        fmt::format("{} is no flag of {}{}", label, full_name(*command), did_you_mean(name, known)));
  }

  static void collect(const CLI::App& app, std::vector<std::string>& out) {
    for (const CLI::App* sub : commands_of(app)) collect(*sub, out);
    for (const std::string& spelling : known_spellings(app))
      if (spelling.starts_with("--")) out.push_back(variable_name(spelling.substr(2)));
  }

  // A variable that no command reads is a slip of the pen, most likely; it only gets a warning, for
  // environments are shared.
  void warn_of_unknown_variables() {
    std::vector<std::string> known(std::begin(kOtherVariables), std::end(kOtherVariables));
    collect(*root, known);
    for (const auto& [name, value] : environment) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      warnings.push_back(
          fmt::format("{} in the environment sets no flag{}", name, did_you_mean(name, known)));
    }
  }

  void fill() {
    if (command == nullptr || find_option(*command, "--config") == nullptr) return;
    warn_of_unknown_variables();
    fill_from_environment();  // also PEGAINFER_CONFIG
    fill_from_file();
  }

  // The source of an option's value, "" for the default.
  [[nodiscard]] std::string source_of(const CLI::Option& option) const {
    if (option.count() == 0) return "";
    const auto found = sources.find(&option);
    return found == sources.end() ? "flag" : found->second.where;
  }
};

LateValues::LateValues(CLI::App& root, std::vector<std::string> environment)
    : impl_(std::make_shared<Impl>()) {
  impl_->root = &root;
  for (const std::string& entry : environment) {
    const size_t equals = entry.find('=');
    if (!entry.starts_with(kPrefix) || equals == std::string::npos || equals + 1 == entry.size()) continue;
    const std::string name = entry.substr(0, equals);
    const std::string value = entry.substr(equals + 1);
    if (!from_kubernetes(name, value)) impl_->environment.emplace_back(name, value);
  }
  impl_->add_to(root);
  // A file that is always there, and empty: CLI11 calls its reader at the right moment.
  root.set_config("--values-from-elsewhere", "/dev/null")->group("");
  root.config_formatter(std::make_shared<Hook>([impl = impl_] { impl->fill(); }));
}

LateValues::~LateValues() = default;

void LateValues::set_command(CLI::App& command) { impl_->command = &command; }

std::string LateValues::blame(const std::string& message) const {
  for (const auto& [option, source] : impl_->sources) {
    if (message.find(source.where) != std::string::npos) continue;  // it says so itself
    for (const std::string& spelling : spellings(*option))
      if (message.starts_with(spelling + ":") || message.find(" " + spelling + " ") != std::string::npos)
        return fmt::format(" (from {})", source.where);
  }
  return "";
}

const std::vector<std::string>& LateValues::warnings() const { return impl_->warnings; }

std::string LateValues::printed() const {
  if (impl_->command == nullptr) return "";
  const CLI::Option* wanted = find_option(*impl_->command, "--print-config");
  if (wanted == nullptr || wanted->count() == 0) return "";
  std::string out =
      fmt::format("# {}: the options in force; --config reads this\n", full_name(*impl_->command));
  for (CLI::Option* option : options_of(*impl_->command, true)) {
    const std::string name = primary_name(*option);
    if (name == "config" || name == "print-config") continue;
    const std::string source = impl_->source_of(*option);
    std::string value;
    if (source.empty()) {
      value = default_text(*option);
    } else if (!takes_value(*option)) {
      value = as_switch(option->results().back()).value_or(true) ? "true" : "false";
    } else if (takes_many(*option)) {
      std::vector<std::string> items;
      for (const std::string& item : option->results()) items.push_back(yaml_scalar(item));
      value = fmt::format("[{}]", fmt::join(items, ", "));
    } else {
      value = yaml_scalar(option->results().back());
    }
    const bool shows_secret =
        secret(*option) || (takes_value(*option) && std::ranges::any_of(option->results(), has_password));
    const bool masked = shows_secret && !source.empty();
    if (masked) value = "\"***\"";
    out += fmt::format("{}{}: {}  # {}\n", source.empty() || masked ? "# " : "", name, value,
                       source.empty() ? "default" : source);
  }
  return out;
}

}  // namespace pegainfer::apps::flags
