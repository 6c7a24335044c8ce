// How far something is: one line that is redrawn on a terminal, a few plain ones elsewhere.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace pegainfer::apps {

// "1.5 GiB"
std::string format_bytes(double bytes);
// What is counted.
struct ProgressStyle {
  const char* label = "loading";
  const char* unit = "";  // "": bytes; else as in "12 of 64 requests"
};
// "loading [=====>    ]  52%  1.5 of 2.9 GiB  1.1 GiB/s  2 s left"; `width` is that of the bar; 0:
// none is drawn.
std::string format_progress(uint64_t done, uint64_t total, double seconds, int width,
                            const ProgressStyle& style = {});

class ProgressBar {
 public:
  // Draws to `out`; as a line that is redrawn when `terminal`.
  ProgressBar(std::FILE* out, bool terminal, const ProgressStyle& style = {})
      : out_(out), terminal_(terminal), style_(style) {}
  static ProgressBar to_stderr(const ProgressStyle& style = {});

  // Call as often as you like.
  void update(uint64_t done, uint64_t total, double seconds);
  // Clears the line on a terminal, as update() does when all is done.
  void finish();

 private:
  std::FILE* out_;
  bool terminal_;
  ProgressStyle style_;
  bool drawn_ = false;
  double last_seconds_ = 0;
  int last_quarter_ = -1;  // of the plain lines
};

}  // namespace pegainfer::apps
