// From text deltas to the JSON of /v1/chat/completions: one object, or server-sent events. Written by hand
// and not through the DOM: it runs for every token of every stream.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_model.h"
#include "chat/output_parser.h"
#include "engine/text_stream.h"
#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/chat_request.h"

namespace pegainfer::openai {

// Some of one choice's answer; parts concatenate.
struct ChatPart {
  chat::OutputDelta said;  // every tool call has an id on its first piece
  std::string logprobs;    // entries of logprobs.content, without the brackets
  std::vector<TokenId> token_ids;
  bool has_tokens = false;
  std::optional<std::string> prompt_logprobs;  // JSON, on the first part when asked for
  std::optional<Finish> finish;
  std::optional<std::string> stop_string;  // when one ended it
  bool finish_is_call = false;             // finish_reason "tool_calls"

  void append(ChatPart other);
};

// Makes the parts of one choice out of its deltas.
class ChatParts {
 public:
  // All outlive this object. `prompt`: the text that the model continues.
  ChatParts(const ChatRequest& request, const chat::ChatModel& model, const Tokenizer& tokenizer,
            std::string_view prompt);
  ChatPart next(TextDelta delta);
  [[nodiscard]] int reasoning_tokens() const { return reasoning_tokens_; }

 private:
  void say(ChatPart& part, std::string_view text, size_t num_tokens);
  void take(ChatPart& part, chat::OutputDelta said);
  void append_entry(std::string& out, const TokenLogprob& entry) const;
  void append_position(std::string& out, TokenId token, const PositionLogprobs* logprobs) const;

  const ChatRequest& request_;
  const chat::ChatModel& model_;
  const Tokenizer& tokenizer_;
  std::unique_ptr<chat::OutputParser> parser_;  // null: everything is content
  chat::OutputDelta opening_;                   // of the call that the prompt began
  int reasoning_tokens_ = 0;
  bool begun_ = false;
  bool has_calls_ = false;
};

class ChatWriter {
 public:
  ChatWriter(const ChatRequest& request, const chat::ChatModel& model, std::string_view id, int64_t created);

  struct Totals {
    Usage usage;
    int reasoning_tokens = 0;
  };
  // What stands beside the choices when it was asked for.
  struct Prompt {
    std::span<const TokenId> ids;
    std::string_view text;
  };

  [[nodiscard]] std::string whole(std::span<const ChatPart> choices, const Totals& totals,
                                  const Prompt& prompt) const;
  // The chunk that says who speaks, and with it what `echo` repeats.
  [[nodiscard]] std::string first_chunks(int index, const Totals& totals, const Prompt& prompt) const;
  // One chunk for each thing that the part says.
  [[nodiscard]] std::string chunks(int index, const ChatPart& part, const Totals& totals) const;
  [[nodiscard]] std::string usage_chunk(const Totals& totals) const;

  // Whether a part is worth a chunk; until then the next ones are appended to it.
  [[nodiscard]] static bool worth_sending(const ChatPart& part) { return part.finish || !part.said.empty(); }

 private:
  class Chunk;
  void append_prompt(std::string& out, const Prompt& prompt) const;
  void append_reasoning(std::string& out, std::string_view text) const;
  void append_message(std::string& out, const ChatPart& part) const;

  const ChatRequest& request_;
  const chat::ChatModel& model_;
  std::string chunk_prefix_;  // everything before the choices
  std::string whole_prefix_;
};

void append_chat_usage(std::string& out, const ChatWriter::Totals& totals);

// "call_" and 24 letters and digits; for Mistral's templates, which insist on it, 9 of them alone.
std::string new_tool_call_id(std::string_view tool_format);

}  // namespace pegainfer::openai
