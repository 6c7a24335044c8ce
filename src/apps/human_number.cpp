#include "apps/human_number.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

namespace pegainfer::apps {
namespace {

// What a suffix multiplies with; 0 for an unknown one.
double multiplier(std::string_view suffix) {
  if (suffix.empty()) return 1;
  if (suffix.size() == 3 && suffix.substr(1) == "iB") {  // KiB is K, kB is k
    if (suffix.front() >= 'a') return 0;
    suffix = suffix.substr(0, 1);
  }
  if (suffix == "kB") return 1e3;
  if (suffix == "MB") return 1e6;
  if (suffix == "GB") return 1e9;
  if (suffix == "TB") return 1e12;
  if (suffix.size() > 1) return 0;
  switch (suffix.front()) {
    case 'k': return 1e3;
    case 'm': return 1e6;
    case 'g': return 1e9;
    case 't': return 1e12;
    case 'K': return 0x1p10;
    case 'M': return 0x1p20;
    case 'G': return 0x1p30;
    case 'T': return 0x1p40;
    default: return 0;
  }
}

}  // namespace

Result<int64_t> parse_human_number(std::string_view text, std::string_view flag) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  const double number = value * multiplier(suffix);
  constexpr double kMax = 0x1p62;
  const bool usable = error == std::errc{} && multiplier(suffix) != 0 && std::abs(number) < kMax &&
                      std::trunc(number) == number;
  if (!usable) {
    return invalid_argument(
        fmt::format("{} {}: not a whole number such as 4096, 32k (32,000) or 32K (32,768)", flag, text),
        std::string(flag));
  }
  return static_cast<int64_t>(number);
}

}  // namespace pegainfer::apps
