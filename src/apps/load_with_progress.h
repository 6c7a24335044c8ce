// Loading on the terminal: a bar on standard error, and Ctrl-C ends the process.
#pragma once

#include "chat/chat_model.h"
#include "engine/load_engine.h"
#include "pegainfer/result.h"

namespace pegainfer::apps {

// The caller has blocked interrupts (block_interrupts).
Result<LoadedEngine> load_with_progress(const EngineOptions& options);

// What the model's files have of chatting.
chat::ChatFiles chat_files(const LoadedEngine& loaded);

}  // namespace pegainfer::apps
