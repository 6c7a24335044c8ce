#include "apps/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace pegainfer::apps {
namespace {

constexpr int kBarWidth = 24;
constexpr double kRedrawSeconds = 0.1;

struct Unit {
  double size;
  std::string_view name;
};

Unit unit_for(double bytes) {
  constexpr std::array kUnits =
      std::to_array<Unit>({{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}});
  for (const Unit& unit : kUnits)
    if (bytes >= unit.size) return unit;
  return {1, "B"};
}

}  // namespace

std::string format_bytes(double bytes) {
  const Unit unit = unit_for(bytes);
  return fmt::format("{:.{}f} {}", bytes / unit.size, unit.size == 1 ? 0 : 1, unit.name);
}

std::string format_progress(uint64_t done, uint64_t total, double seconds, int width,
                            const ProgressStyle& style) {
  const double d = static_cast<double>(std::min(done, total));
  const double t = static_cast<double>(total);
  const double fraction = total == 0 ? 0 : d / t;
  std::string bar;
  if (width > 0) {
    const auto filled = static_cast<size_t>(fraction * width);
    bar.assign(filled, '=');
    if (filled < static_cast<size_t>(width)) bar += '>';
    bar.resize(static_cast<size_t>(width), ' ');
    bar = '[' + bar + "] ";
  }
  const bool bytes = *style.unit == '\0';
  std::string line = fmt::format("{} {}{:3.0f}%  ", style.label, bar, fraction * 100);
  line += bytes ? fmt::format("{} of {}", format_bytes(d), format_bytes(t))
                : fmt::format("{:.0f} of {:.0f} {}", d, t, style.unit);
  if (seconds <= 0 || done == 0) return line;
  const double rate = d / seconds;
  line += bytes ? fmt::format("  {}/s", format_bytes(rate)) : fmt::format("  {:.1f}/s", rate);
  if (done < total) line += fmt::format("  {:.0f} s left", (t - d) / rate);
  return line;
}

ProgressBar ProgressBar::to_stderr(const ProgressStyle& style) {
  return {stderr, isatty(STDERR_FILENO) == 1, style};
}

void ProgressBar::update(uint64_t done, uint64_t total, double seconds) {
  if (total == 0) return;
  if (terminal_) {
    if (done >= total) return finish();  // what follows is written where the line stood
    if (drawn_ && seconds - last_seconds_ < kRedrawSeconds) return;
    last_seconds_ = seconds;
    drawn_ = true;
    fmt::print(out_, "\r\x1b[2K{}", format_progress(done, total, seconds, kBarWidth, style_));
    std::fflush(out_);
    return;
  }
  // At most one line a second, and only when another quarter is there; a quick load has but the last.
  const int quarter = static_cast<int>(4.0 * static_cast<double>(done) / static_cast<double>(total));
  if (quarter <= last_quarter_ || (done < total && seconds - last_seconds_ < 1)) return;
  last_quarter_ = quarter;
  last_seconds_ = seconds;
  fmt::print(out_, "{}\n", format_progress(done, total, seconds, 0, style_));
}

void ProgressBar::finish() {
  if (!drawn_) return;
  fmt::print(out_, "\r\x1b[2K");
  std::fflush(out_);
  drawn_ = false;
}

}  // namespace pegainfer::apps
