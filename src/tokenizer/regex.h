// Regular expressions of tokenizer.json, which are written for Oniguruma, run by PCRE2 with its compiler.
// The pattern is translated first: what the two engines read differently is spelled out, and character
// classes get the characters that are newer than PCRE2's Unicode 14.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "pegainfer/result.h"

namespace pegainfer {

class Regex {
 public:
  // The pattern in Oniguruma's Ruby syntax. Constructs that cannot be translated are errors that name them.
  static Result<std::unique_ptr<Regex>> compile(std::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };

  // Goes through the matches of one text as Oniguruma's find_iter does: an empty match right after another
  // match is not one. The text must be valid UTF-8 and outlive the finder.
  class Finder {
   public:
    Finder(const Regex& regex, std::string_view text);
    ~Finder();
    Finder(const Finder&) = delete;
    Finder& operator=(const Finder&) = delete;
    // False at the end. A place where the match limit is exceeded counts as one without a match: a pattern
    // that backtracks without bound must not hang the process, and there is nobody to report it to.
    bool next(Match* match);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// The pattern in PCRE2's syntax; exposed for its tests.
Result<std::string> translate_regex(std::string_view pattern);

}  // namespace pegainfer
