#include "metrics/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace pegainfer::testing {
namespace {

bool is_name_char(char c, bool first, bool colon) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') return true;
  if (c == ':') return colon;
  return !first && c >= '0' && c <= '9';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Exposition> run() {
    if (!text_.empty() && text_.back() != '\n') return invalid_argument("the last line has no end");
    while (!text_.empty()) {
      const size_t end = text_.find('\n');
      line_ = text_.substr(0, end);
      text_.remove_prefix(end + 1);
      ++number_;
      RETURN_IF_ERROR(line_.starts_with("#") ? comment() : sample());
    }
    for (const auto& [name, family] : out_.families) RETURN_IF_ERROR(check(name, family));
    return std::move(out_);
  }

 private:
  [[nodiscard]] Error wrong(std::string_view why) const {
    return invalid_argument(fmt::format("line {}: {}", number_, why));
  }

  std::string take_name(bool colon) {
    size_t n = 0;
    while (n < line_.size() && is_name_char(line_[n], n == 0, colon)) ++n;
    std::string name(line_.substr(0, n));
    line_.remove_prefix(n);
    return name;
  }
  bool take(std::string_view what) {
    if (!line_.starts_with(what)) return false;
    line_.remove_prefix(what.size());
    return true;
  }

  Status comment() {
    const bool help = take("# HELP ");
    if (!help && !take("# TYPE ")) return wrong("neither # HELP nor # TYPE");
    const std::string name = take_name(true);
    if (name.empty() || !take(" ")) return wrong("no metric name");
    if (help) {
      if (out_.families.contains(name)) return wrong("HELP twice, after TYPE, or a family in two pieces");
      out_.families[name].help = line_;
      current_ = name;
      return line_.empty() ? Status(wrong("an empty help")) : ok_status();
    }
    if (name != current_ || !out_.families[name].type.empty()) return wrong("TYPE does not follow its HELP");
    static const std::set<std::string_view> kTypes = {"counter", "gauge", "histogram"};
    if (!kTypes.contains(line_)) return wrong("an unknown type");
    out_.families[name].type = line_;
    return ok_status();
  }

  Status sample() {
    Sample out;
    out.name = take_name(true);
    Family& family = out_.families[current_];
    const std::string_view suffix =
        std::string_view(out.name).substr(std::min(out.name.size(), current_.size()));
    static const std::set<std::string_view> kSuffixes = {"_bucket", "_sum", "_count"};
    const bool belongs = out.name.starts_with(current_) && !family.type.empty() &&
                         (family.type == "histogram" ? kSuffixes.contains(suffix) : suffix.empty());
    if (!belongs) return wrong("a sample outside of its family: " + out.name);
    if (take("{")) RETURN_IF_ERROR(labels(out));
    if (!take(" ")) return wrong("no space before the value");
    const auto value = number(line_);
    if (!value) return wrong("not a number: " + std::string(line_));
    out.value = *value;
    if (family.type != "gauge" && out.value < 0) return wrong("a negative count");
    family.samples.push_back(std::move(out));
    return ok_status();
  }

  Status labels(Sample& out) {
    do {
      const std::string name = take_name(false);
      if (name.empty() || name.starts_with("__")) return wrong("a bad label name");
      if (!take("=\"")) return wrong("no =\" after a label's name");
      std::string value;
      while (!take("\"")) {
        if (line_.empty()) return wrong("a label value without end");
        if (take("\\\\")) {
          value += '\\';
        } else if (take("\\\"")) {
          value += '"';
        } else if (take("\\n")) {
          value += '\n';
        } else if (line_.front() == '\\') {
          return wrong("an unknown escape");
        } else {
          value += line_.front();
          line_.remove_prefix(1);
        }
      }
      if (!out.labels.emplace(name, value).second) return wrong("a label twice");
    } while (take(","));
    return take("}") ? ok_status() : Status(wrong("no } after the labels"));
  }

  static std::optional<double> number(std::string_view text) {
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    if (text == "-Inf") return -std::numeric_limits<double>::infinity();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
      return std::nullopt;
    return value;
  }

  static Status check(const std::string& name, const Family& family) {
    if (family.samples.empty()) return invalid_argument(name + " has no sample");
    std::set<std::pair<std::string, std::map<std::string, std::string>>> seen;
    for (const Sample& s : family.samples)
      if (!seen.emplace(s.name, s.labels).second) return invalid_argument(s.name + " has a sample twice");
    return family.type == "histogram" ? check_histogram(name, family) : ok_status();
  }

  struct Buckets {
    double last_bound = -std::numeric_limits<double>::infinity();
    double last_count = 0;
    std::optional<double> count, sum;
  };

  static Status check_histogram(const std::string& name, const Family& family) {
    std::map<std::map<std::string, std::string>, Buckets> all;
    for (const Sample& s : family.samples) {
      auto labels = s.labels;
      const auto le = labels.extract("le");
      if (s.name.ends_with("_bucket") == le.empty()) return invalid_argument(s.name + ": le");
      Buckets& b = all[labels];
      if (s.name.ends_with("_sum")) b.sum = s.value;
      if (s.name.ends_with("_count")) b.count = s.value;
      if (!s.name.ends_with("_bucket")) continue;
      const auto bound = number(le.mapped());
      if (!bound || *bound <= b.last_bound) return invalid_argument(name + ": bounds do not rise");
      if (s.value < b.last_count) return invalid_argument(name + ": buckets fall");
      b.last_bound = *bound;
      b.last_count = s.value;
    }
    for (const auto& [labels, b] : all) {
      if (!std::isinf(b.last_bound)) return invalid_argument(name + ": no +Inf bucket");
      if (!b.sum || !b.count || *b.count != b.last_count)
        return invalid_argument(name + ": count, sum and +Inf do not agree");
    }
    return ok_status();
  }

  std::string_view text_;
  std::string_view line_;
  int number_ = 0;
  std::string current_;
  Exposition out_;
};

}  // namespace

double Exposition::value(const std::string& name, const std::map<std::string, std::string>& labels,
                         const std::vector<std::string>& common) const {
  for (const auto& [family_name, family] : families) {
    if (!name.starts_with(family_name)) continue;
    for (const Sample& s : family.samples) {
      if (s.name != name) continue;
      auto rest = s.labels;
      for (const std::string& key : common) rest.erase(key);
      if (rest == labels) return s.value;
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Result<Exposition> parse_exposition(std::string_view text) { return Parser(text).run(); }

}  // namespace pegainfer::testing
