#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

namespace pegainfer {
namespace {

int count_chars(const std::string& text) {
  return static_cast<int>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// A detokenizer that has, or has not, text behind it. It is begun with a neutral letter and not with the
// prompt's own tokens: those may end inside a character, whose bytes would come out with the first new token.
std::unique_ptr<Tokenizer::Stream> begin_stream(const Tokenizer& tokenizer, bool skip_special_tokens,
                                                std::span<const TokenId> prompt) {
  auto stream = tokenizer.stream(skip_special_tokens);
  const bool has_text = std::any_of(prompt.rbegin(), prompt.rend(), [&](TokenId id) {
    return !(skip_special_tokens && tokenizer.is_special(id));
  });
  if (!has_text) return stream;
  std::string text;
  for (const TokenId id : tokenizer.encode("a", {.add_special_tokens = false})) text += stream->append(id);
  // A vocabulary without the letter may hold its bytes back, to give them out later: then nothing is begun.
  return text.ends_with('a') ? std::move(stream) : tokenizer.stream(skip_special_tokens);
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, TextOptions options, std::span<const TokenId> prompt)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      // Where some special tokens are kept we skip the others ourselves.
      detokenizer_(
          begin_stream(tokenizer, options_.skip_special_tokens && options_.kept_tokens.empty(), prompt)),
      matcher_(options_.stop) {}

TextDelta TextStream::push(TokenEvent event) {
  TextDelta delta;
  if (finished_) return delta;
  delta.prompt_logprobs = std::move(event.prompt_logprobs);
  usage_.prompt_tokens = event.usage.prompt_tokens;
  usage_.cached_tokens = event.usage.cached_tokens;
  for (size_t i = 0; i < event.tokens.size() && !stop_; ++i) {
    PendingToken& token = pending_tokens_.emplace_back();
    token.id = event.tokens[i];
    token.offset = num_chars_;
    if (i < event.logprobs.size()) token.logprobs = std::move(event.logprobs[i]);
    ++usage_.completion_tokens;
    if (!is_skipped(token.id)) add_text(detokenizer_->append(token.id));
    token.end = num_bytes_;
  }
  if (event.finish && !stop_) add_text(detokenizer_->finish());
  if (stop_) {
    delta.cancel = !event.finish;
    finish_at_stop(delta);
  } else if (event.finish) {
    usage_ = event.finish->usage;
    delta.finish = std::move(event.finish);
    finished_ = true;
  }
  delta.usage = usage_;
  release(delta);
  return delta;
}

bool TextStream::is_skipped(TokenId token) const {
  return options_.skip_special_tokens && !options_.kept_tokens.empty() && tokenizer_.is_special(token) &&
         !std::ranges::binary_search(options_.kept_tokens, token);
}

// When the piece completes a stop string the text is cut there.
void TextStream::add_text(const std::string& piece) {
  pending_text_ += piece;
  num_chars_ += count_chars(piece);
  num_bytes_ += piece.size();
  if (usage_.completion_tokens <= options_.min_tokens) return matcher_.pass(piece);
  const auto match = matcher_.push(piece);
  if (!match) return;
  stop_ = match->stop;
  // What is withheld covers every unfinished match, so its beginning was not released.
  pending_text_.resize((options_.include_stop_str_in_output ? match->end : match->begin) - num_released_);
}

void TextStream::finish_at_stop(TextDelta& delta) {
  delta.finish = Finish{.reason = FinishReason::kStop, .usage = usage_};
  delta.stop_string = options_.stop[*stop_];
  finished_ = true;
}

void TextStream::release(TextDelta& delta) {
  const size_t keep = finished_ ? 0 : matcher_.withheld();
  const size_t count = pending_text_.size() - keep;
  delta.text = pending_text_.substr(0, count);
  pending_text_.erase(0, count);
  num_released_ += count;
  while (!pending_tokens_.empty() && (finished_ || pending_tokens_.front().end <= num_released_)) {
    PendingToken& token = pending_tokens_.front();
    delta.tokens.push_back(token.id);
    delta.text_offsets.push_back(token.offset);
    if (token.logprobs) delta.logprobs.push_back(std::move(*token.logprobs));
    pending_tokens_.pop_front();
  }
}

}  // namespace pegainfer
