#include "apps/flags/man_page.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <vector>

#include "apps/flags/foreign_flags.h"
#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

// Troff takes a leading dot or quote for a request, and backslashes and dashes for more than they are.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string option_text(const CLI::App& command, const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : spellings(option)) names.push_back("\\fB" + roff(name) + "\\fR");
  if (names.empty()) names.push_back("\\fI" + roff(option.get_name(true)) + "\\fR");
  std::string out = ".TP\n" + fmt::format("{}", fmt::join(names, ", "));
  if (takes_value(option)) out += is_path(option) ? " \\fIPATH\\fR" : " \\fIVALUE\\fR";
  out += "\n" + roff(option.get_description());
  const std::string value = option.get_default_str();
  if (takes_value(option) && !value.empty() && value != "\"\"") out += roff(" [" + value + "]");
  out += ".\n";
  if (option.get_lnames().empty()) return out;
  const auto others = other_spellings(command, "--" + primary_name(option));
  if (!others.empty()) out += "Also: " + roff(fmt::format("{}", fmt::join(others, ", "))) + ".\n";
  return out;
}

std::string command_text(const CLI::App& command) {
  std::string out = ".SS " + roff(full_name(command)) + "\n" + roff(command.get_description()) + ".\n";
  std::vector<std::string> titles;
  for (const CLI::Option* option : options_of(command, true)) {
    const std::string title = group_title(*option);
    if (std::find(titles.begin(), titles.end(), title) == titles.end()) titles.push_back(title);
  }
  for (const std::string& title : titles) {
    if (titles.size() > 1) out += ".PP\n\\fI" + roff(title) + "\\fR\n";
    for (const CLI::Option* option : options_of(command, true))
      if (group_title(*option) == title) out += option_text(command, *option);
  }
  for (const CLI::App* sub : commands_of(command)) out += command_text(*sub);
  return out;
}

}  // namespace

std::string man_page(const CLI::App& root, const std::string& version) {
  std::string out = fmt::format(".TH PEGAINFER 1 \"\" \"pegainfer {}\" \"User Commands\"\n", roff(version));
  out +=
      ".SH NAME\npegainfer \\- an inference engine for language models with an OpenAI\\-compatible server\n";
  out += ".SH SYNOPSIS\n.B pegainfer\n.I COMMAND\n[\\fIFLAGS\\fR]\n";
  out +=
      ".SH DESCRIPTION\nA model is a folder with config.json, safetensors and tokenizer.json, a .gguf file, "
      "or the name\n";
  out += "(org/name) of one that is in the local Hugging Face cache.\n";
  out += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(root)) out += command_text(*command);
  out += ".SH ENVIRONMENT\n.TP\n.B PEGAINFER_*\n";
  out +=
      "Each flag: \\fB\\-\\-max\\-num\\-seqs\\fR is \\fBPEGAINFER_MAX_NUM_SEQS\\fR. Flags that are there or "
      "not take true and false,\n";
  out +=
      "those that may be repeated a list with commas, or a JSON list. The command line wins over the "
      "environment, and that over\n";
  out +=
      "\\fB\\-\\-config\\fR.\n.TP\n.B PEGAINFER_CACHE_DIR\nWhere what is timed at a start is kept; "
      "\\fI~/.cache/pegainfer\\fR otherwise.\n";
  out += ".TP\n.B HF_HOME, HF_HUB_CACHE\nThe Hugging Face cache, where models are looked for by name.\n";
  out +=
      ".TP\n.B NOTIFY_SOCKET, WATCHDOG_USEC\nOf systemd: told when the model is loaded, and that the engine "
      "goes on.\n";
  out += ".SH FILES\n.TP\n.I /etc/default/pegainfer\nThe environment of the systemd service.\n";
  out += ".SH EXIT STATUS\n" + roff(root.get_footer().substr(root.get_footer().find(": ") + 2)) + "\n";
  out +=
      ".SH EXAMPLES\n.nf\npegainfer serve org/name \\-\\-port 8000\npegainfer serve model.gguf \\-\\-config "
      "/etc/pegainfer.yaml\n";
  out += "pegainfer completion bash > /etc/bash_completion.d/pegainfer\n.fi\n";
  return out;
}

}  // namespace pegainfer::apps::flags
