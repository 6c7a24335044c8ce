// Oniguruma's Ruby syntax to PCRE2's. Where they agree the text is copied.
//   \h \H          a hexadecimal digit there, a blank here
//   \s \S \w \W    same idea, slightly different sets
//   \p{L} ...      gets the ranges that Unicode 15 and 16 added
//   ^ $            always at every line (PCRE2_MULTILINE does that)
//   (?m)           "dot matches newline" there: refused, nobody uses it
//   [a&&b]         intersection: refused
#include <fmt/core.h>

#include <array>
#include <optional>

#include "base/json.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_data.h"

namespace pegainfer {
namespace {

using unicode::Range;

template <size_t n>
void append_ranges(std::string& out, const Range (&ranges)[n]) {
  for (const Range& r : ranges) out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", r.first, r.last);
}

// The ranges newer than PCRE2's tables for \p{name}, "" when there are none.
std::string newer_ranges(std::string_view name) {
  std::string out;
  const bool letter = name == "L" || name == "Letter" || name == "L&";
  if (letter || name == "Lu") append_ranges(out, unicode::kNewLu);
  if (letter || name == "Ll") append_ranges(out, unicode::kNewLl);
  if (name == "L" || name == "Letter" || name == "Lm") append_ranges(out, unicode::kNewLm);
  if (name == "L" || name == "Letter" || name == "Lo") append_ranges(out, unicode::kNewLo);
  if (name == "N" || name == "Number" || name == "Nd") append_ranges(out, unicode::kNewNd);
  if (name == "N" || name == "Number" || name == "No") append_ranges(out, unicode::kNewNo);
  if (name == "M" || name == "Mark" || name == "Mn") append_ranges(out, unicode::kNewM);
  if (name == "P" || name == "Punctuation" || name == "Po") append_ranges(out, unicode::kNewP);
  if (name == "S" || name == "Symbol" || name == "So") append_ranges(out, unicode::kNewS);
  if (name == "Han") out += "\\x{2B739}-\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}";
  return out;
}

// PCRE2 10.42 knows the short names only.
std::string_view short_name(std::string_view name) {
  struct Pair {
    std::string_view from, to;
  };
  static constexpr std::array<Pair, 7> kLong{{{"Letter", "L"},
                                              {"Number", "N"},
                                              {"Mark", "M"},
                                              {"Punctuation", "P"},
                                              {"Symbol", "S"},
                                              {"Separator", "Z"},
                                              {"Alpha", "L"}}};
  for (const Pair& p : kLong) {
    if (name == p.from) return p.to;
  }
  return name;
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (pos_ < in_.size()) {
      const Status status = in_class_ > 0 ? step_in_class() : step();
      if (!status) return status.error();
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] Error refuse(std::string_view what) const {
    return unsupported(
        fmt::format("the regular expression {} uses {}, which is not supported", json::quote(in_), what));
  }

  Status step() {
    const char c = in_[pos_];
    if (c == '\\') return escape();
    if (c == '[') {
      open_class();
      return ok_status();
    }
    if (in_.substr(pos_, 2) == "(?") {
      if (in_.substr(pos_, 3) == "(?~") return refuse("an absence operator (?~...)");
      for (size_t i = pos_ + 2;
           i < in_.size() && std::string_view("imxaud-").find(in_[i]) != std::string_view::npos; ++i) {
        if (in_[i] != 'i' && in_[i] != '-' && in_[i] != 'x')
          return refuse(fmt::format("the option (?{})", in_[i]));
      }
    }
    out_ += c;
    ++pos_;
    return ok_status();
  }

  void open_class() {
    ++in_class_;
    out_ += '[';
    ++pos_;
    if (pos_ < in_.size() && in_[pos_] == '^') {
      out_ += '^';
      ++pos_;
    }
    if (pos_ < in_.size() && in_[pos_] == ']') {  // a bracket in first place stands for itself
      out_ += "\\]";
      ++pos_;
    }
  }

  Status step_in_class() {
    const char c = in_[pos_];
    if (c == '\\') return escape();
    if (in_.substr(pos_, 2) == "&&") return refuse("an intersection of character classes (&&)");
    if (in_.substr(pos_, 2) == "[:") {
      const size_t end = in_.find(":]", pos_);
      if (end != std::string_view::npos) {
        out_ += in_.substr(pos_, end + 2 - pos_);
        pos_ = end + 2;
        return ok_status();
      }
    }
    if (c == '[') {
      // A class within a class is a union: its members join the outer one, unless it is negated.
      if (in_.substr(pos_ + 1, 1) == "^") return refuse("a negated character class within another");
      ++in_class_;
      ++pos_;
      return ok_status();
    }
    if (c == ']') {
      if (--in_class_ == 0) out_ += ']';
      ++pos_;
      return ok_status();
    }
    out_ += c;
    ++pos_;
    return ok_status();
  }

  Status escape() {
    if (pos_ + 1 >= in_.size()) return refuse("a backslash at its end");
    const char c = in_[pos_ + 1];
    switch (c) {
      case 'h': put_set("0-9a-fA-F", false); break;
      case 'H': return put_negated("0-9a-fA-F");
      case 's': put_set(white_space(), false); break;
      case 'S': return put_negated(white_space());
      case 'w': put_set(word(), false); break;
      case 'W': return put_negated(word());
      case 'd': put_set("\\p{Nd}" + newer_ranges("Nd"), false); break;
      case 'D': return put_negated("\\p{Nd}" + newer_ranges("Nd"));
      case 'p':
      case 'P': return property(c == 'P');
      case 'R':
      case 'X':
      case 'y':
      case 'Y':
      case 'K':
      case 'O':
      case 'g':
      case 'k': return refuse(fmt::format("\\{}", c));
      case 'u': {
        const std::string_view hex = in_.substr(pos_ + 2, 4);
        if (hex.size() != 4) return refuse("\\u without four digits");
        out_ += fmt::format("\\x{{{}}}", hex);
        pos_ += 6;
        return ok_status();
      }
      default: out_ += in_.substr(pos_, 2);
    }
    pos_ += 2;
    return ok_status();
  }

  Status property(bool negated) {
    const size_t open = pos_ + 2;
    std::string_view name;
    size_t next = open + 1;
    if (open < in_.size() && in_[open] == '{') {
      const size_t close = in_.find('}', open);
      if (close == std::string_view::npos) return refuse("\\p without its closing brace");
      name = in_.substr(open + 1, close - open - 1);
      next = close + 1;
    } else {
      name = in_.substr(open, 1);
    }
    if (!name.empty() && name.front() == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string set = fmt::format("\\p{{{}}}", short_name(name)) + newer_ranges(name);
    pos_ = next - 2;
    if (negated) {
      if (in_class_ > 0) {
        out_ += fmt::format("\\P{{{}}}", short_name(name));  // exact but for characters newer than PCRE2
        pos_ = next;
        return ok_status();
      }
      out_ += "[^" + set + "]";
    } else {
      put_set(set, false);
    }
    pos_ = next;
    return ok_status();
  }

  void put_set(std::string_view members, bool negated) {
    if (in_class_ > 0) {
      out_ += members;
    } else {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", members);
    }
  }

  Status put_negated(const std::string& members) {
    if (in_class_ > 0) {
      // Within a class only PCRE2's own sets can be negated; \s and \w differ from ours in U+180E and in
      // characters newer than its tables.
      const char c = in_[pos_ + 1];
      if (c == 'H') return refuse("\\H within a character class");
      out_ += in_.substr(pos_, 2);
    } else {
      put_set(members, true);
    }
    pos_ += 2;
    return ok_status();
  }

  static const std::string& white_space() {
    static const std::string set = [] {
      std::string s;
      append_ranges(s, unicode::kWhiteSpace);
      return s;
    }();
    return set;
  }
  static const std::string& word() {
    static const std::string set = [] {
      std::string s =
          "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" + newer_ranges("L") + newer_ranges("M") + newer_ranges("Nd");
      append_ranges(s, unicode::kOtherAlphabetic);
      return s;
    }();
    return set;
  }

  std::string_view in_;
  size_t pos_ = 0;
  int in_class_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> translate_regex(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace pegainfer
