#include "apps/flags/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cctype>

#include "apps/flags/foreign_flags.h"
#include "apps/flags/option_tree.h"

namespace pegainfer::apps::flags {
namespace {

// "-5" and "-" are values.
bool looks_like_flag(std::string_view word) {
  if (word.size() < 2 || word[0] != '-') return false;
  return word[1] == '-' || std::isalpha(static_cast<unsigned char>(word[1])) != 0;
}

class Reader {
 public:
  Reader(const CLI::App& root, const std::vector<std::string>& words) : words_(words) {
    out_.command = &root;
  }

  Result<Arguments> read() {
    while (at_ < words_.size() && !out_.help) {
      const std::string& word = words_[at_++];
      if (word == "--") {
        out_.plain.push_back(word);
        out_.plain.insert(out_.plain.end(), words_.begin() + static_cast<std::ptrdiff_t>(at_), words_.end());
        break;
      }
      RETURN_IF_ERROR(looks_like_flag(word) ? read_flag(word) : read_word(word));
    }
    return std::move(out_);
  }

 private:
  Status read_word(const std::string& word) {
    const std::vector<CLI::App*> commands = commands_of(*out_.command);
    out_.plain.push_back(word);
    if (commands.empty()) return ok_status();
    std::vector<std::string> names;
    for (const CLI::App* command : commands) {
      if (command->check_name(word)) {
        out_.command = command;
        return ok_status();
      }
      names.push_back(command->get_name());
    }
    std::string hint = did_you_mean(word, names);
    if (hint.empty()) hint = fmt::format("; it has {}", fmt::join(names, ", "));
    return invalid_argument(fmt::format("{} has no command {}{}", full_name(*out_.command), word, hint));
  }

  Status read_flag(const std::string& word) {
    const size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const std::string name = word.substr(0, equals);
    const bool attached = equals != std::string::npos;
    if (name == "--help" || name == "-h" || name == "--help-all") {
      out_.help = true;
      if (name == "--help-all") out_.help_topic = "all";
      if (attached) out_.help_topic = word.substr(equals + 1);
      if (!attached && at_ < words_.size() && !looks_like_flag(words_[at_])) out_.help_topic = words_[at_];
      return ok_status();
    }
    if (const auto own = own_spelling(*out_.command, name)) {
      const size_t value = own->find('=');
      if (value != std::string::npos) {  // it stands for a flag with its value
        out_.plain.push_back(*own);
        return ok_status();
      }
      return take(*find_option(*out_.command, *own), attached ? *own + word.substr(equals) : *own, attached);
    }
    if (const CLI::Option* option = find_option(*out_.command, name)) {
      // CLI11 knows no underscores.
      const bool exact = option->check_name(name);
      const std::string plain = exact ? name : "--" + primary_or_same(*option, name);
      return take(*option, attached ? plain + word.substr(equals) : plain, attached);
    }
    if (const ForeignFlag* flag = find_foreign(name))
      return read_foreign(*flag, attached ? std::optional(word.substr(equals + 1)) : std::nullopt);
    if (!word.starts_with("--")) {  // "-p8000": the value is part of the word
      const CLI::Option* option = find_option(*out_.command, word.substr(0, 2));
      if (option != nullptr && takes_value(*option)) return take(*option, word, true);
    }
    return invalid_argument(fmt::format("{} has no flag {}{}", full_name(*out_.command), name,
                                        did_you_mean(name, known_spellings(*out_.command))));
  }

  // The spelling with dashes that was meant by one with underscores.
  static std::string primary_or_same(const CLI::Option& option, std::string name) {
    std::replace(name.begin() + 2, name.end(), '_', '-');
    return option.check_name(name) ? name.substr(2) : primary_name(option);
  }

  Status take(const CLI::Option& option, const std::string& word, bool has_value) {
    out_.plain.push_back(word);
    if (takes_value(option) && !has_value && at_ < words_.size()) out_.plain.push_back(words_[at_++]);
    return ok_status();
  }

  Status read_foreign(const ForeignFlag& flag, std::optional<std::string> value) {
    using Takes = ForeignFlag::Takes;
    using Verdict = ForeignFlag::Verdict;
    const bool more = !value && at_ < words_.size();
    if (more &&
        (flag.takes == Takes::kValue || (flag.takes == Takes::kSwitch && is_switch_word(words_[at_]))))
      value = words_[at_++];
    const bool harmless = flag.verdict == Verdict::kIgnored ||
                          (flag.verdict == Verdict::kOnlyOne && (value == "1" || value == "0"));
    if (!harmless) return invalid_argument(fmt::format("{} has no meaning here: {}", flag.name, flag.text));
    out_.warnings.push_back(fmt::format("{} is ignored: {}", flag.name, flag.text));
    return ok_status();
  }

  const std::vector<std::string>& words_;
  size_t at_ = 0;
  Arguments out_;
};

}  // namespace

Result<Arguments> read_arguments(const CLI::App& root, const std::vector<std::string>& words) {
  return Reader(root, words).read();
}

}  // namespace pegainfer::apps::flags
