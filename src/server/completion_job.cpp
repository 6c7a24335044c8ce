#include "server/completion_job.h"

#include <algorithm>
#include <utility>

namespace pegainfer::server {

using openai::CompletionRequest;

CompletionJob::CompletionJob(ServedModel served, CompletionRequest request, http::ResponderPtr responder)
    : GenerationJob(std::move(served), std::move(responder)),
      request_(openai::with_words(*model().tokenizer, std::move(request))),
      writer_(*request_, new_answer_id("cmpl-"), seconds_since_1970()) {
  // Scoring clients ask for one token and drop its log-probability from the end of the arrays, so that one
  // has to be there even when the model would end the text here.
  eos_is_scored_ = request_->echo && request_->logprobs >= 0 && request_->sampling.max_tokens == 1 &&
                   !request_->sampling.ignore_eos;
}

GenerationJob::Encoder CompletionJob::encoder() const {
  return [request = request_, tokenizer = model().tokenizer]() -> Result<Prompts> {
    Prompts prompts;
    prompts.ids.reserve(request->prompts.size());
    for (const openai::Prompt& prompt : request->prompts) {
      const auto* text = std::get_if<std::string>(&prompt);
      prompts.ids.push_back(
          text == nullptr ? std::get<std::vector<TokenId>>(prompt)
                          : tokenizer->encode(*text, {.add_special_tokens = request->add_special_tokens}));
    }
    return prompts;
  };
}

size_t CompletionJob::text_bytes() const {
  size_t bytes = 0;
  for (const openai::Prompt& prompt : request_->prompts)
    if (const auto* text = std::get_if<std::string>(&prompt)) bytes += text->size();
  return bytes;
}

std::vector<size_t> CompletionJob::estimate_tokens() const {
  constexpr size_t kBytesPerToken = 4;
  std::vector<size_t> counts;
  for (const openai::Prompt& prompt : request_->prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    counts.push_back(text == nullptr ? std::get<std::vector<TokenId>>(prompt).size()
                                     : text->size() / kBytesPerToken + 1);
  }
  return counts;
}

void CompletionJob::begin() {
  const auto& ids = prompts().ids;
  for (size_t p = 0; p < ids.size(); ++p) {
    const auto* text = std::get_if<std::string>(&request_->prompts[p]);
    const bool as_sent = text != nullptr && !request_->truncate_prompt_tokens;
    if (!request_->echo) {
      prompt_texts_.emplace_back();
    } else {
      prompt_texts_.push_back(as_sent ? *text
                                      : model().tokenizer->decode(ids[p], request_->skip_special_tokens));
    }
  }
  const auto n = static_cast<size_t>(request_->n);
  parts_.reserve(num_choices());
  for (size_t i = 0; i < num_choices(); ++i)
    parts_.emplace_back(*request_, *model().tokenizer, ids[i / n], prompt_texts_[i / n]);
  answers_.resize(num_choices());
}

void CompletionJob::adapt(SamplingParams& sampling) const {
  if (eos_is_scored_) sampling.ignore_eos = true;
}

// A scored EOS came as an ordinary token, so that the engine says "length".
void CompletionJob::report_eos(TextDelta& delta) const {
  if (!eos_is_scored_ || !delta.finish || delta.tokens.empty()) return;
  const auto& eos = model().engine->info().eos_token_ids;
  if (std::ranges::find(eos, delta.tokens.back()) != eos.end()) delta.finish->reason = FinishReason::kStop;
}

void CompletionJob::add(size_t choice, TextDelta delta) {
  report_eos(delta);
  openai::ChoicePart part = parts_[choice].next(std::move(delta));
  if (!request_->stream) return answers_[choice].append(std::move(part));
  if (writer_.worth_sending(part)) write(writer_.chunk(static_cast<int>(choice), part, usage()));
}

std::string CompletionJob::whole_answer() { return writer_.whole(answers_, usage()); }

std::string CompletionJob::stream_end() {
  return request_->stream_options.include_usage ? writer_.usage_chunk(usage()) : std::string();
}

}  // namespace pegainfer::server
