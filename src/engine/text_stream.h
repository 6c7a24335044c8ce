// TextStream: turns the token events of one request into text. It detokenizes incrementally, watches for stop
// strings and never lets one leak: text that may yet become one is withheld until it is certain.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/stop_matcher.h"
#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer {

struct TextOptions {
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;  // the text then ends with the stop string instead of before it
  bool skip_special_tokens = true;
  std::vector<TokenId> kept_tokens = {};  // ascending: special ones that are not skipped all the same
  int min_tokens = 0;                     // no stop string that ends in so many tokens counts
};

// What one event added. A token comes with the delta that completes its text, so tokens and text move
// together; all those of a request concatenate to its whole text, tokens and logprobs.
struct TextDelta {
  std::string text;                               // whole UTF-8 characters
  std::vector<TokenId> tokens;                    // those of a stop string included
  std::vector<PositionLogprobs> logprobs;         // [tokens] when asked for
  std::vector<int> text_offsets;                  // [tokens]: characters of output before the token's own
  std::vector<PositionLogprobs> prompt_logprobs;  // as in TokenEvent
  Usage usage;                                    // so far; the engine's when it finished
  std::optional<Finish> finish;                   // once, on the last delta
  std::optional<std::string> stop_string;         // the one that ended it
  bool cancel = false;  // ended here while the engine goes on: the caller cancels the request
};

class TextStream {
 public:
  // What follows `prompt` [any]. The prompt decides only whether the text has begun: some decoders drop a
  // space at the very start, which is a word's own space once something stands before it. The tokenizer must
  // outlive the stream.
  TextStream(const Tokenizer& tokenizer, TextOptions options, std::span<const TokenId> prompt);

  // Events in order. After a delta with `finish` further events give empty deltas: the engine's own end after
  // a stop string is of no interest.
  TextDelta push(TokenEvent event);
  [[nodiscard]] bool finished() const { return finished_; }

 private:
  struct PendingToken {
    TokenId id = 0;
    std::optional<PositionLogprobs> logprobs;
    int offset = 0;  // characters of text before it
    size_t end = 0;  // bytes of text with it
  };
  [[nodiscard]] bool is_skipped(TokenId token) const;
  void add_text(const std::string& piece);
  void finish_at_stop(TextDelta& delta);
  void release(TextDelta& delta);

  const Tokenizer& tokenizer_;
  TextOptions options_;
  std::unique_ptr<Tokenizer::Stream> detokenizer_;
  StopMatcher matcher_;
  std::string pending_text_;  // decoded and not yet released
  std::deque<PendingToken> pending_tokens_;
  std::optional<size_t> stop_;  // index of the stop string found
  Usage usage_;
  int num_chars_ = 0;        // decoded
  size_t num_bytes_ = 0;     // decoded
  size_t num_released_ = 0;  // bytes
  bool finished_ = false;
};

}  // namespace pegainfer
