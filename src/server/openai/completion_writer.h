// From text deltas to the JSON of /v1/completions: one object, or one server-sent event per part. Both are
// made of the same parts by the same code, so that streamed and whole answers are equal byte for byte.
// Written by hand and not through the DOM: it runs for every token of every stream.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text_stream.h"
#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/completion_request.h"

namespace pegainfer::openai {

// The four parallel arrays of "logprobs", as JSON without their brackets.
struct LogprobsJson {
  std::string tokens;
  std::string token_logprobs;
  std::string top_logprobs;
  std::string text_offset;

  void append(const LogprobsJson& other);
};

// Some of one choice's answer; parts concatenate.
struct ChoicePart {
  std::string text;
  LogprobsJson logprobs;
  std::vector<TokenId> token_ids;
  std::optional<std::vector<TokenId>> prompt_token_ids;  // on the first part when asked for
  std::optional<std::string> prompt_logprobs;            // the same, as JSON
  std::optional<Finish> finish;
  std::optional<std::string> stop_string;  // when one ended it

  void append(ChoicePart other);
};

// Makes the parts of one choice out of its deltas.
class ChoiceParts {
 public:
  // All outlive this object. `prompt_text`: what echo repeats.
  ChoiceParts(const CompletionRequest& request, const Tokenizer& tokenizer, std::span<const TokenId> prompt,
              std::string_view prompt_text);
  ChoicePart next(TextDelta delta);

 private:
  void begin(ChoicePart& part, const std::vector<PositionLogprobs>& prompt_logprobs);
  void add_position(LogprobsJson& out, TokenId token, const PositionLogprobs* logprobs, int offset) const;
  void append_token(std::string& out, TokenId token) const;

  const CompletionRequest& request_;
  const Tokenizer& tokenizer_;
  std::span<const TokenId> prompt_;
  std::string_view prompt_text_;
  int offset_base_ = 0;  // characters of text before the completion
  bool begun_ = false;
};

class CompletionWriter {
 public:
  CompletionWriter(const CompletionRequest& request, std::string_view id, int64_t created);

  // {"id": .., "choices": [..], "usage": ..}; index = position.
  [[nodiscard]] std::string whole(std::span<const ChoicePart> choices, const Usage& usage) const;
  // "data: {..}\n\n"; `usage` so far of the whole request.
  [[nodiscard]] std::string chunk(int index, const ChoicePart& part, const Usage& usage) const;
  [[nodiscard]] std::string usage_chunk(const Usage& usage) const;

  // Whether a part is worth a chunk of its own.
  [[nodiscard]] bool worth_sending(const ChoicePart& part) const;

 private:
  void append_choice(std::string& out, int index, const ChoicePart& part) const;

  const CompletionRequest& request_;
  std::string prefix_;  // everything before the choices
};

void append_usage(std::string& out, const Usage& usage);

}  // namespace pegainfer::openai
