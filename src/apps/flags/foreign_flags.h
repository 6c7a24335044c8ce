// Flags of vLLM, SGLang, llama-server and text-generation-inference: other spellings of ours, and those that
// have no meaning here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

// What to write in place of `spelling`, as "--max-num-seqs" for "--max-running-requests" or
// "--log-format=json" for
// "--log-json": when this command has such a flag and does not know `spelling` itself.
std::optional<std::string> own_spelling(const CLI::App& command, std::string_view spelling);

// The other spellings of one of our flags, for this command, each with its dashes.
std::vector<std::string> other_spellings(const CLI::App& command, std::string_view own);

struct ForeignFlag {
  enum class Takes : unsigned char { kNothing, kValue, kSwitch };  // kSwitch: on, off, auto, or nothing
  enum class Verdict : unsigned char {
    kIgnored,
    kRefused,
    kOnlyOne
  };  // kOnlyOne: ignored for 1 (or 0), else refused
  std::string_view name;
  Takes takes;
  Verdict verdict;
  std::string_view text;  // why, or what to use
};
// Null: nobody's flag that we know.
const ForeignFlag* find_foreign(std::string_view spelling);
// Whether `word` is what a kSwitch takes.
bool is_switch_word(std::string_view word);

// The nearest of `known` for something mistyped, at most three; empty when nothing is near.
std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& known);
// Everything that may be written as a flag of this command.
std::vector<std::string> known_spellings(const CLI::App& command);
// "; did you mean --port?", or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace pegainfer::apps::flags
