#include "chat/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "chat/jinja/error.h"
#include "chat/jinja/text.h"

namespace pegainfer::jinja {
namespace {

constexpr std::string_view kSpaces = " \t\n\r\f\v";

bool ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Lexeme> run() {
    while (at_ < source_.size()) root();
    out_.push_back({Token::kEnd, "", source_.size()});
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool starts(std::string_view what, size_t at) const {
    return source_.substr(at, what.size()) == what;
  }
  [[noreturn]] static void fail(std::string message, size_t at) { throw Failure(std::move(message), at); }

  void skip_spaces() { at_ = std::min(source_.find_first_not_of(kSpaces, at_), source_.size()); }

  // Text up to the next tag, and the tag's beginning.
  void root() {
    const size_t begin = at_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        emit_data(begin, source_.size());
        at_ = source_.size();
        return;
      }
      const char kind = source_[tag + 1];
      if (kind == '%' || kind == '{' || kind == '#') break;
    }
    const char kind = source_[tag + 1];
    size_t after = tag + 2;
    char sign = 0;
    if (after < source_.size() && (source_[after] == '-' || source_[after] == '+')) sign = source_[after++];
    emit_data(begin, strip_before(begin, tag, sign, kind != '{'));
    at_ = after;
    line_starting_ = false;
    if (kind == '#') {
      comment(tag);
    } else if (kind == '{') {
      out_.push_back({Token::kVariableBegin, "", tag});
      expression(tag, Token::kVariableEnd, "}}");
    } else if (!raw(tag)) {
      out_.push_back({Token::kBlockBegin, "", tag});
      expression(tag, Token::kBlockEnd, "%}");
    }
  }

  // Where the text [begin, tag) ends once the tag's sign and lstrip_blocks have taken their whitespace.
  [[nodiscard]] size_t strip_before(size_t begin, size_t tag, char sign, bool block) const {
    if (sign == '-') return rstrip(begin, tag);
    if (sign == '+' || !block) return tag;
    const size_t newline =
        tag > begin ? source_.substr(begin, tag - begin).rfind('\n') : std::string_view::npos;
    const size_t line = newline == std::string_view::npos ? begin : begin + newline + 1;
    if (line == begin && !line_starting_) return tag;
    return rstrip(line, tag) == line ? line : tag;
  }

  [[nodiscard]] size_t rstrip(size_t begin, size_t end) const {
    while (end > begin) {
      // Python's whitespace, characters of several bytes included.
      size_t start = end - 1;
      while (start > begin && (static_cast<unsigned char>(source_[start]) & 0xC0) == 0x80) --start;
      const CodePoint c = decode(source_.substr(start, end - start));
      if (c.size != end - start || !is_space(c.value)) break;
      end = start;
    }
    return end;
  }

  void emit_data(size_t begin, size_t end) {
    if (end > begin) out_.push_back({Token::kData, std::string(source_.substr(begin, end - begin)), begin});
  }

  // After "%}" and "#}": trim_blocks takes one newline. `at_` is behind the mark.
  void trim_newline() {
    if (at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
      line_starting_ = true;
    }
  }
  void trim_spaces() {
    const size_t before = at_;
    skip_spaces();
    line_starting_ = at_ > before && source_[at_ - 1] == '\n';
  }

  // The end of a block or comment whose closing mark is at `at_` or one sign later. False: it is not there.
  bool closing(std::string_view mark) {
    if (starts(mark, at_)) {
      at_ += mark.size();
      trim_newline();
      return true;
    }
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+') && starts(mark, at_ + 1)) {
      const bool strip = source_[at_] == '-';
      at_ += 1 + mark.size();
      if (strip) trim_spaces();
      return true;
    }
    return false;
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail("a comment is not closed", tag);
    at_ = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? end - 1 : end;
    closing("#}");
  }

  // {% raw %} ... {% endraw %}; false: it is another block. `at_` is behind the block's sign.
  bool raw(size_t tag) {
    const size_t start = at_;
    skip_spaces();
    if (!starts("raw", at_)) return at_ = start, false;
    at_ += 3;
    skip_spaces();
    if (starts("-%}", at_)) {
      at_ += 3;
      skip_spaces();
    } else if (starts("%}", at_)) {
      at_ += 2;
    } else {
      return at_ = start, false;
    }
    const size_t begin = at_;
    for (size_t end = source_.find("{%", begin); end != std::string_view::npos;
         end = source_.find("{%", end + 2)) {
      at_ = end + 2;
      char sign = 0;
      if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) sign = source_[at_++];
      skip_spaces();
      if (!starts("endraw", at_)) continue;
      at_ += 6;
      skip_spaces();
      line_starting_ = false;
      if (!closing("%}")) continue;
      const bool starting = line_starting_;
      line_starting_ = false;
      emit_data(begin, strip_before(begin, end, sign, true));
      line_starting_ = starting;
      return true;
    }
    fail("a raw block is not closed", tag);
  }

  void expression(size_t tag, Token end, std::string_view mark) {
    std::string open;  // brackets
    while (true) {
      if (open.empty() && close_expression(end, mark)) return;
      if (at_ >= source_.size()) fail(fmt::format("a tag is not closed: expected '{}'", mark), tag);
      const char c = source_[at_];
      if (kSpaces.find(c) != std::string_view::npos) {
        skip_spaces();
      } else if (ascii_digit(c)) {
        number();
      } else if (c == '\'' || c == '"') {
        string(c);
      } else if (is_word(decode(source_.substr(at_)).value)) {
        name();
      } else {
        operation(open);
      }
    }
  }

  bool close_expression(Token end, std::string_view mark) {
    const size_t at = at_;
    if (end == Token::kBlockEnd) {
      if (!closing(mark)) return false;
    } else if (starts(mark, at_)) {
      at_ += mark.size();
    } else if (at_ < source_.size() && source_[at_] == '-' && starts(mark, at_ + 1)) {
      at_ += 1 + mark.size();
      trim_spaces();
    } else {
      return false;
    }
    out_.push_back({end, "", at});
    return true;
  }

  void digits(std::string& text, bool (*is)(char)) {
    while (at_ < source_.size() &&
           (is(source_[at_]) || (source_[at_] == '_' && at_ + 1 < source_.size() && is(source_[at_ + 1])))) {
      if (source_[at_] != '_') text += source_[at_];
      ++at_;
    }
  }

  void number() {
    const size_t begin = at_;
    std::string text;
    const char second = begin + 1 < source_.size() ? static_cast<char>(source_[begin + 1] | 0x20) : '\0';
    if (source_[begin] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      text = {'0', second};
      at_ += 2;
      digits(
          text, second == 'x'
                    ? +[](char c) { return ascii_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
                : second == 'o' ? +[](char c) { return c >= '0' && c <= '7'; }
                                : +[](char c) { return c == '0' || c == '1'; });
      if (text.size() == 2) fail("a number has no digits", begin);
      out_.push_back({Token::kInteger, text, begin});
      return;
    }
    digits(text, ascii_digit);
    // After a dot ("x.0.1") a number is an index.
    const bool index = begin > 0 && source_[begin - 1] == '.';
    bool is_float = false;
    if (!index && at_ + 1 < source_.size() && source_[at_] == '.' && ascii_digit(source_[at_ + 1])) {
      is_float = true;
      text += '.';
      ++at_;
      digits(text, ascii_digit);
    }
    if (!index && at_ < source_.size() && (source_[at_] == 'e' || source_[at_] == 'E')) {
      size_t exponent = at_ + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      if (exponent < source_.size() && ascii_digit(source_[exponent])) {
        is_float = true;
        text += source_.substr(at_, exponent - at_);
        at_ = exponent;
        digits(text, ascii_digit);
      }
    }
    if (!is_float && text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos) {
      fail("a number begins with 0", begin);
    }
    out_.push_back({is_float ? Token::kFloat : Token::kInteger, text, begin});
  }

  void name() {
    const size_t begin = at_;
    while (at_ < source_.size()) {
      const CodePoint c = decode(source_.substr(at_));
      if (!is_word(c.value)) break;
      at_ += c.size;
    }
    out_.push_back({Token::kName, std::string(source_.substr(begin, at_ - begin)), begin});
  }

  void string(char quote) {
    const size_t begin = at_++;
    std::string text;
    while (true) {
      if (at_ >= source_.size()) fail("a string is not closed", begin);
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\') {
        if (at_ >= source_.size()) fail("a string is not closed", begin);
        escape(text);
      } else {
        text += c;
      }
    }
    out_.push_back({Token::kString, std::move(text), begin});
  }

  // Python's escapes; what is none stays as it is.
  void escape(std::string& text) {
    static constexpr std::string_view kFrom = "abfnrtv\\'\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[at_++];
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      text += kTo[i];
    } else if (c == '\n') {
      // The line goes on.
    } else if (c >= '0' && c <= '7') {
      --at_;
      hex(text, 8, 1, 3);
    } else if (c == 'x') {
      hex(text, 16, 2, 2);
    } else if (c == 'u') {
      hex(text, 16, 4, 4);
    } else if (c == 'U') {
      hex(text, 16, 8, 8);
    } else if (c == 'N') {
      fail("characters by name (\\N{...}) are not supported", at_ - 2);
    } else {
      text += '\\';
      text += c;
    }
  }

  void hex(std::string& text, uint32_t base, int at_least, int at_most) {
    uint32_t value = 0;
    int digits = 0;
    for (; digits < at_most && at_ < source_.size(); ++digits, ++at_) {
      const char c = source_[at_];
      const uint32_t digit = ascii_digit(c) ? static_cast<uint32_t>(c - '0')
                             : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                                 ? static_cast<uint32_t>((c | 0x20) - 'a' + 10)
                                 : 99;
      if (digit >= base) break;
      value = value * base + digit;
    }
    if (digits < at_least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      fail("a string has a broken escape", at_);
    }
    encode(text, value);
  }

  void operation(std::string& open) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!starts(op, at_)) continue;
      const char c = op[0];
      if (c == '(' || c == '[' || c == '{') {
        open += c == '(' ? ')' : c == '[' ? ']' : '}';
      } else if (c == ')' || c == ']' || c == '}') {
        if (open.empty()) fail(fmt::format("unexpected '{}'", c), at_);
        if (open.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open.back()), at_);
        open.pop_back();
      }
      out_.push_back({Token::kOperator, std::string(op), at_});
      at_ += op.size();
      return;
    }
    const CodePoint c = decode(source_.substr(at_));
    fail(fmt::format("unexpected character '{}'", is_printable(c.value) ? encode(c.value) : "?"), at_);
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starting_ = true;  // what went before ended a line (or nothing went before)
  std::vector<Lexeme> out_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<Lexeme> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace pegainfer::jinja
