#include "apps/flags/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>
#include <vector>

#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kColumn = 36;
// A command with more flags than fit a screen shows these first. What a command does not have is no harm.
constexpr size_t kOneScreen = 26;
constexpr std::string_view kMostUsed[] = {"model",
                                          "device",
                                          "served-model-name",
                                          "max-model-len",
                                          "gpu-memory-utilization",
                                          "max-num-seqs",
                                          "threads",
                                          "max-num-batched-tokens",
                                          "host",
                                          "port",
                                          "api-key",
                                          "ssl-certfile",
                                          "ssl-keyfile",
                                          "chat-template",
                                          "tool-call-parser",
                                          "reasoning-parser",
                                          "shutdown-timeout",
                                          "log-level",
                                          "log-format",
                                          "otlp-traces-endpoint",
                                          "config",
                                          "print-config",
                                          "prompt",
                                          "max-tokens",
                                          "temperature",
                                          "top-p",
                                          "top-k",
                                          "seed",
                                          "chat",
                                          "system",
                                          "json",
                                          "stop",
                                          "dataset-name",
                                          "num-prompts",
                                          "request-rate",
                                          "max-concurrency",
                                          "base-url"};

struct Group {
  std::string title;
  std::vector<const CLI::Option*> options;
};

std::vector<Group> groups_of(const CLI::App& command) {
  std::vector<Group> groups;
  for (const CLI::Option* option : options_of(command, true)) {
    const std::string title = group_title(*option);
    auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.title == title; });
    if (found == groups.end()) found = groups.insert(groups.end(), {title, {}});
    found->options.push_back(option);
  }
  return groups;
}

std::string placeholder(const CLI::Option& option) {
  if (!takes_value(option)) return "";
  if (is_path(option)) return " PATH";
  const std::string type = option.get_type_name();
  const std::string word = type.starts_with("INT") || type.starts_with("UINT") ? "N"
                           : type.starts_with("FLOAT")                         ? "X"
                                                                               : "TEXT";
  return " " + word + (takes_many(option) ? "..." : "");
}

std::string left_column(const CLI::Option& option) {
  const std::string name = primary_name(option);
  if (option.get_lnames().empty() && option.get_snames().empty()) return "  " + option.get_name(true);
  std::string out = option.get_snames().empty() ? "      " : "  -" + option.get_snames().front();
  if (option.get_lnames().empty()) return out + placeholder(option);
  if (!option.get_snames().empty()) out += ", ";
  return out + (negatable(option) ? "--[no-]" : "--") + name + placeholder(option);
}

std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  for (const std::string& word : CLI::detail::split(text, ' ')) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

// `brief`: one line, without what follows the first clause.
std::string row(const std::string& left, std::string text, bool brief) {
  std::string out = left;
  if (left.size() + 2 > kColumn) {
    out += '\n';
    out.append(kColumn, ' ');
  } else {
    out.append(kColumn - left.size(), ' ');
  }
  if (brief && text.size() > kWidth - kColumn) {
    const size_t clause = text.find_first_of(";:");
    if (clause != std::string::npos && clause > 12) text.resize(clause);
    const auto lines = wrapped(text, kWidth - kColumn - 4);
    text = lines.size() > 1 ? lines.front() + " ..." : lines.front();
    return out + text + "\n";
  }
  bool first = true;
  for (const std::string& line : wrapped(text, kWidth - kColumn)) {
    if (!std::exchange(first, false)) out.append(kColumn, ' ');
    out += line + "\n";
  }
  return out;
}

std::string described(const CLI::Option& option, bool brief) {
  std::string text = option.get_description();
  const std::string value = option.get_default_str();
  if (!brief && takes_value(option) && !value.empty() && value != "\"\"") text += fmt::format(" [{}]", value);
  return text;
}

bool most_used(const CLI::Option& option) {
  return std::find(std::begin(kMostUsed), std::end(kMostUsed), primary_name(option)) != std::end(kMostUsed);
}

std::string options_text(const std::vector<Group>& groups, bool brief, bool chosen_only) {
  std::string out;
  for (const Group& group : groups) {
    std::string rows;
    for (const CLI::Option* option : group.options)
      if (!chosen_only || most_used(*option))
        rows += row(left_column(*option), described(*option, brief), brief);
    if (!rows.empty()) out += "\n" + group.title + "\n" + rows;
  }
  return out;
}

std::string usage(const CLI::App& command) {
  std::string out = fmt::format("{}\n\nUsage: {}", command.get_description(), full_name(command));
  if (!commands_of(command).empty()) out += " COMMAND";
  for (const CLI::Option* option : options_of(command, true))
    if (option->get_positional())
      out += option->get_required() ? " " + option->get_name(true) : " [" + option->get_name(true) + "]";
  return out + (options_of(command, true).empty() ? "\n" : " [flags]\n");
}

std::string commands_text(const CLI::App& command) {
  std::string out;
  for (const CLI::App* sub : commands_of(command))
    out += row("  " + sub->get_name(), sub->get_description(), false);
  return out.empty() ? "" : "\nCommands\n" + out;
}

std::string more(const CLI::App& command, const std::vector<Group>& groups) {
  std::vector<std::string> names;
  names.reserve(groups.size());
  for (const Group& g : groups) names.push_back(fmt::format("{} ({})", group_key(g.title), g.options.size()));
  std::string out = "\n";
  for (const std::string& line : wrapped(fmt::format("More flags: {} --help GROUP, with {} or all.",
                                                     full_name(command), fmt::join(names, ", ")),
                                         kWidth))
    out += line + "\n";
  return out;
}

// Its lines are broken by hand, most of them short enough.
std::string footer_text(const CLI::App& command) {
  if (command.get_footer().empty()) return "";
  std::string out = "\n";
  for (const std::string& line : CLI::detail::split(command.get_footer(), '\n'))
    for (const std::string& part : wrapped(line, kWidth)) out += part + "\n";
  return out;
}

constexpr const char* kElsewhere =
    "Each flag may also be a variable (--max-num-seqs: PEGAINFER_MAX_NUM_SEQS) or a line of --config\n"
    "FILE; the command line wins over the environment, and that over the file.\n";

}  // namespace

std::string help(const CLI::App& command, const std::string& topic) {
  const std::vector<Group> groups = groups_of(command);
  const std::string footer = footer_text(command);
  size_t count = 0;
  for (const Group& group : groups) count += group.options.size();
  if (topic == "all")
    return usage(command) + commands_text(command) + options_text(groups, false, false) + "\n" + kElsewhere +
           footer;
  if (!topic.empty()) {
    std::vector<Group> chosen;
    std::copy_if(groups.begin(), groups.end(), std::back_inserter(chosen),
                 [&](const Group& g) { return group_key(g.title) == group_key(topic); });
    if (!chosen.empty()) return full_name(command) + options_text(chosen, false, false);
  }
  std::string out = usage(command) + commands_text(command);
  const bool long_list = count > kOneScreen;
  out += options_text(groups, long_list, long_list);
  if (long_list) out += more(command, groups);
  if (find_option(command, "--config") != nullptr) out += (long_list ? "" : "\n") + std::string(kElsewhere);
  return out + footer;
}

}  // namespace pegainfer::apps::flags
