// What the server needs of a loaded model, and how far the loading is.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/chat_model.h"
#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/generation_options.h"

namespace pegainfer::server {

struct ServedModel {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const chat::ChatModel> chat;  // null: it does not chat
  openai::SamplingDefaults defaults;
  std::vector<std::string> names;  // at least one; the first stands in answers. A "*" later: any other, too
  int64_t created = 0;             // seconds since 1970
};

// Written by the loading thread, read by the server's.
struct LoadStatus {
  std::atomic<uint64_t> bytes_done{0};
  std::atomic<uint64_t> bytes_total{0};  // 0: not known yet
};

}  // namespace pegainfer::server
