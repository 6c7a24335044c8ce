#include "server/chat_job.h"

#include <utility>

namespace pegainfer::server {

ChatJob::ChatJob(ServedModel served, openai::ChatRequest request, http::ResponderPtr responder)
    : GenerationJob(std::move(served), std::move(responder)),
      request_(openai::with_words(*model().tokenizer, std::move(request))),
      writer_(*request_, *model().chat, new_answer_id("chatcmpl-"), seconds_since_1970()) {}

GenerationJob::Encoder ChatJob::encoder() const {
  return [request = request_, chat = model().chat, tokenizer = model().tokenizer]() -> Result<Prompts> {
    ASSIGN_OR_RETURN(openai::ChatPrompt prompt, openai::make_chat_prompt(*request, *chat, *tokenizer));
    Prompts prompts;
    prompts.ids.push_back(std::move(prompt.ids));
    prompts.texts.push_back(std::move(prompt.text));
    return prompts;
  };
}

std::vector<size_t> ChatJob::estimate_tokens() const {
  constexpr size_t kBytesPerToken = 4;
  return {request_->text_bytes / kBytesPerToken + 1};
}

void ChatJob::begin() {
  parts_.reserve(num_choices());
  for (size_t i = 0; i < num_choices(); ++i)
    parts_.emplace_back(*request_, *model().chat, *model().tokenizer, prompts().texts.front());
  answers_.resize(num_choices());
}

// Marks that are special tokens have to reach the parsers.
TextOptions ChatJob::text_options() const {
  TextOptions text = GenerationJob::text_options();
  if (request_->tools.list != nullptr || model().chat->reasoning)
    text.kept_tokens = model().chat->kept_tokens;
  return text;
}

void ChatJob::add(size_t choice, TextDelta delta) {
  Answer& answer = answers_[choice];
  const auto index = static_cast<int>(choice);
  answer.part.append(parts_[choice].next(std::move(delta)));
  if (!request_->stream) return;
  const bool worth_sending = openai::ChatWriter::worth_sending(answer.part);
  std::string frames;
  // With the first token and not before, so that clients measure the time to it right.
  if (!answer.begun && (answer.part.has_tokens || worth_sending)) {
    answer.begun = true;
    frames = writer_.first_chunks(index, totals(), prompt());
  }
  if (worth_sending) {
    frames += writer_.chunks(index, answer.part, totals());
    answer.part = {};
  }
  write(frames);
}

openai::ChatWriter::Totals ChatJob::totals() const {
  openai::ChatWriter::Totals totals{.usage = usage()};
  for (const openai::ChatParts& parts : parts_) totals.reasoning_tokens += parts.reasoning_tokens();
  return totals;
}

openai::ChatWriter::Prompt ChatJob::prompt() const {
  return {.ids = prompts().ids.front(), .text = prompts().texts.front()};
}

std::string ChatJob::whole_answer() {
  std::vector<openai::ChatPart> parts;
  parts.reserve(answers_.size());
  for (Answer& answer : answers_) parts.push_back(std::move(answer.part));
  return writer_.whole(parts, totals(), prompt());
}

std::string ChatJob::stream_end() {
  return request_->stream_options.include_usage ? writer_.usage_chunk(totals()) : std::string();
}

}  // namespace pegainfer::server
