// Loading on the terminal.
#pragma once

#include "chat/chat_model.h"
#include "engine/load_engine.h"
#include "pegainfer/result.h"

namespace pegainfer::apps {

// With a bar on standard error where that is a terminal and its lines are not JSON. `also` hears of it, too.
Result<LoadedEngine> load_with_bar(const EngineOptions& options, const EngineProgress& also = {});

// Besides, Ctrl-C ends the process. The caller has blocked interrupts (block_interrupts).
Result<LoadedEngine> load_with_progress(const EngineOptions& options);

// What the model's files have of chatting.
chat::ChatFiles chat_files(const LoadedEngine& loaded);

}  // namespace pegainfer::apps
