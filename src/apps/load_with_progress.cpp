#include "apps/load_with_progress.h"

#include "apps/interrupts.h"
#include "apps/progress.h"
#include "base/clock.h"
#include "base/log_event.h"

namespace pegainfer::apps {

Result<LoadedEngine> load_with_bar(const EngineOptions& options, const EngineProgress& also) {
  ProgressBar bar = ProgressBar::to_stderr();
  const Stopwatch watch;
  auto loaded = load_engine(options, [&](const EngineLoadProgress& progress) {
    if (also) also(progress);
    if (!logs_json()) bar.update(progress.bytes_done, progress.bytes_total, watch.seconds());
  });
  bar.finish();
  return loaded;
}

Result<LoadedEngine> load_with_progress(const EngineOptions& options) {
  const InterruptWatch interrupts(exit_on_interrupt);
  return load_with_bar(options);
}

chat::ChatFiles chat_files(const LoadedEngine& loaded) {
  return {.chat_template = loaded.chat_template,
          .tool_template = loaded.tool_template,
          .special_tokens = loaded.special_tokens};
}

}  // namespace pegainfer::apps
