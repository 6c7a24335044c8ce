#include "server/openai/completion_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include "base/json.h"
#include "server/openai/answer_json.h"

namespace pegainfer::openai {
namespace {

void append_number(std::string& out, int64_t value) { fmt::format_to(std::back_inserter(out), "{}", value); }

void separate(std::string& array) {
  if (!array.empty()) array += ',';
}

int count_chars(std::string_view text) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
  return static_cast<int>(std::ranges::count_if(text, begins));
}

void append_finish(std::string& out, const ChoicePart& part) {
  if (!part.finish) {
    out += R"(,"finish_reason":null,"stop_reason":null)";
    return;
  }
  out += part.finish->reason == FinishReason::kLength ? R"(,"finish_reason":"length")"
                                                      : R"(,"finish_reason":"stop")";
  out += R"(,"stop_reason":)";
  append_stop_reason(out, part.stop_string, part.finish);
}

}  // namespace

void LogprobsJson::append(const LogprobsJson& other) {
  const auto join = [](std::string& to, const std::string& from) {
    if (!to.empty() && !from.empty()) to += ',';
    to += from;
  };
  join(tokens, other.tokens);
  join(token_logprobs, other.token_logprobs);
  join(top_logprobs, other.top_logprobs);
  join(text_offset, other.text_offset);
}

void ChoicePart::append(ChoicePart other) {
  text += other.text;
  logprobs.append(other.logprobs);
  token_ids.insert(token_ids.end(), other.token_ids.begin(), other.token_ids.end());
  if (other.prompt_token_ids) prompt_token_ids = std::move(other.prompt_token_ids);
  if (other.prompt_logprobs) prompt_logprobs = std::move(other.prompt_logprobs);
  if (other.finish) finish = std::move(other.finish);
  if (other.stop_string) stop_string = std::move(other.stop_string);
}

ChoiceParts::ChoiceParts(const CompletionRequest& request, const Tokenizer& tokenizer,
                         std::span<const TokenId> prompt, std::string_view prompt_text)
    : request_(request), tokenizer_(tokenizer), prompt_(prompt), prompt_text_(prompt_text) {}

ChoicePart ChoiceParts::next(TextDelta delta) {
  ChoicePart part;
  if (!std::exchange(begun_, true)) begin(part, delta.prompt_logprobs);
  part.text += delta.text;
  if (request_.logprobs >= 0) {
    for (size_t i = 0; i < delta.tokens.size(); ++i) {
      const PositionLogprobs* logprobs = i < delta.logprobs.size() ? &delta.logprobs[i] : nullptr;
      add_position(part.logprobs, delta.tokens[i], logprobs, offset_base_ + delta.text_offsets[i]);
    }
  }
  if (request_.return_token_ids) part.token_ids = std::move(delta.tokens);
  part.finish = std::move(delta.finish);
  part.stop_string = std::move(delta.stop_string);
  return part;
}

// The echo of the prompt, and what stands only once.
void ChoiceParts::begin(ChoicePart& part, const std::vector<PositionLogprobs>& prompt_logprobs) {
  if (request_.return_token_ids) part.prompt_token_ids.emplace(prompt_.begin(), prompt_.end());
  if (request_.prompt_logprobs >= 0)
    part.prompt_logprobs = prompt_logprobs_json(prompt_logprobs, request_.prompt_logprobs, tokenizer_);
  if (!request_.echo) return;
  part.text = prompt_text_;
  offset_base_ = count_chars(prompt_text_);
  if (request_.logprobs < 0) return;
  const auto stream = tokenizer_.stream(request_.skip_special_tokens);
  int offset = 0;
  for (size_t i = 0; i < prompt_.size(); ++i) {
    const bool known = i > 0 && i - 1 < prompt_logprobs.size();  // nothing predicts the first token
    add_position(part.logprobs, prompt_[i], known ? &prompt_logprobs[i - 1] : nullptr, offset);
    offset += count_chars(stream->append(prompt_[i]));
  }
}

void ChoiceParts::append_token(std::string& out, TokenId token) const {
  if (request_.tokens_as_ids) {
    fmt::format_to(std::back_inserter(out), "\"token_id:{}\"", token);
  } else {
    json::append_string(out, tokenizer_.token_text(token));
  }
}

void ChoiceParts::add_position(LogprobsJson& out, TokenId token, const PositionLogprobs* logprobs,
                               int offset) const {
  separate(out.tokens);
  append_token(out.tokens, token);
  separate(out.text_offset);
  append_number(out.text_offset, offset);
  separate(out.token_logprobs);
  separate(out.top_logprobs);
  if (logprobs == nullptr) {
    out.token_logprobs += "null";
    out.top_logprobs += "null";
    return;
  }
  append_logprob(out.token_logprobs, logprobs->chosen.logprob);

  // An object keyed by text: where two tokens read alike (broken UTF-8) the likelier one stands. The chosen
  // token is always in it.
  std::set<std::string> seen;
  out.top_logprobs += '{';
  const auto add = [&](const TokenLogprob& entry) {
    std::string key;
    append_token(key, entry.token);
    if (!seen.insert(key).second) return;
    if (seen.size() > 1) out.top_logprobs += ',';
    out.top_logprobs += key;
    out.top_logprobs += ':';
    append_logprob(out.top_logprobs, entry.logprob);
  };
  // A prompt may have been asked for more of them, for prompt_logprobs.
  const auto count = std::min(logprobs->top.size(), static_cast<size_t>(request_.logprobs));
  for (const TokenLogprob& entry : std::span(logprobs->top).first(count)) add(entry);
  add(logprobs->chosen);
  out.top_logprobs += '}';
}

CompletionWriter::CompletionWriter(const CompletionRequest& request, std::string_view id, int64_t created)
    : request_(request) {
  prefix_ = R"({"id":)";
  json::append_string(prefix_, id);
  prefix_ += R"(,"object":"text_completion","created":)";
  append_number(prefix_, created);
  prefix_ += R"(,"model":)";
  json::append_string(prefix_, request.model);
  prefix_ += R"(,"choices":[)";
}

bool CompletionWriter::worth_sending(const ChoicePart& part) const {
  return !part.text.empty() || part.finish || !part.logprobs.tokens.empty() || !part.token_ids.empty() ||
         part.prompt_token_ids;
}

void CompletionWriter::append_choice(std::string& out, int index, const ChoicePart& part) const {
  out += R"({"index":)";
  append_number(out, index);
  out += R"(,"text":)";
  json::append_string(out, part.text);
  if (request_.logprobs >= 0) {
    fmt::format_to(
        std::back_inserter(out),
        R"(,"logprobs":{{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})",
        part.logprobs.tokens, part.logprobs.token_logprobs, part.logprobs.top_logprobs,
        part.logprobs.text_offset);
  } else {
    out += R"(,"logprobs":null)";
  }
  append_finish(out, part);
  if (part.prompt_logprobs) {
    out += R"(,"prompt_logprobs":)";
    out += *part.prompt_logprobs;
  }
  if (request_.return_token_ids) {
    out += R"(,"token_ids":)";
    append_ids(out, part.token_ids);
    if (part.prompt_token_ids) {
      out += R"(,"prompt_token_ids":)";
      append_ids(out, *part.prompt_token_ids);
    }
  }
  out += '}';
}

std::string CompletionWriter::whole(std::span<const ChoicePart> choices, const Usage& usage) const {
  std::string out = prefix_;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(out, static_cast<int>(i), choices[i]);
  }
  out += R"(],"usage":)";
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string CompletionWriter::chunk(int index, const ChoicePart& part, const Usage& usage) const {
  std::string out = "data: ";
  out += prefix_;
  append_choice(out, index, part);
  out += ']';
  if (request_.stream_options.continuous_usage) {
    out += R"(,"usage":)";
    append_usage(out, usage);
  } else if (request_.stream_options.include_usage) {
    out += R"(,"usage":null)";
  }
  out += "}\n\n";
  return out;
}

std::string CompletionWriter::usage_chunk(const Usage& usage) const {
  std::string out = "data: ";
  out += prefix_;
  out += R"(],"usage":)";
  append_usage(out, usage);
  out += "}\n\n";
  return out;
}

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{}}}}})",
                 usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
                 usage.cached_tokens);
}

}  // namespace pegainfer::openai
