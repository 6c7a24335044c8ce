#include "server/openai/chat_writer.h"

#include <fmt/core.h>

#include <iterator>
#include <random>
#include <utility>

#include "base/json.h"
#include "server/openai/answer_json.h"

namespace pegainfer::openai {
namespace {

template <class... Args>
void format_to(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string_view finish_reason(const ChatPart& part) {
  if (part.finish->reason == FinishReason::kLength) return "length";
  return part.finish_is_call ? "tool_calls" : "stop";
}

// A piece of a call as streams have it, or a whole one: then without its index.
void append_tool_call(std::string& out, const chat::ToolCallDelta& call, bool streamed) {
  out += '{';
  if (streamed) format_to(out, R"("index":{},)", call.index);
  if (!call.id.empty()) {
    out += R"("id":)";
    json::append_string(out, call.id);
    out += R"(,"type":"function",)";
  }
  out += R"("function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    json::append_string(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  json::append_string(out, call.arguments);
  out += "}}";
}

std::string prefix(std::string_view object, std::string_view id, int64_t created, std::string_view model) {
  std::string out = R"({"id":)";
  json::append_string(out, id);
  format_to(out, R"(,"object":"{}","created":{},"model":)", object, created);
  json::append_string(out, model);
  return out;
}

}  // namespace

std::string new_tool_call_id(std::string_view tool_format) {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  const bool mistral = tool_format == "mistral";
  std::string id = mistral ? "" : "call_";
  for (int i = 0; i < (mistral ? 9 : 24); ++i) id += kLetters[letter(generator)];
  return id;
}

// ------------------------------------------------------------------------------------------------ parts

void ChatPart::append(ChatPart other) {
  said.reasoning += other.said.reasoning;
  said.content += other.said.content;
  for (chat::ToolCallDelta& call : other.said.tool_calls) {
    const bool goes_on = !said.tool_calls.empty() && said.tool_calls.back().index == call.index;
    if (goes_on && call.name.empty()) {
      said.tool_calls.back().arguments += call.arguments;
    } else {
      said.tool_calls.push_back(std::move(call));
    }
  }
  if (!logprobs.empty() && !other.logprobs.empty()) logprobs += ',';
  logprobs += other.logprobs;
  token_ids.insert(token_ids.end(), other.token_ids.begin(), other.token_ids.end());
  has_tokens = has_tokens || other.has_tokens;
  if (other.prompt_logprobs) prompt_logprobs = std::move(other.prompt_logprobs);
  if (!other.finish) return;
  finish = std::move(other.finish);
  stop_string = std::move(other.stop_string);
  finish_is_call = other.finish_is_call;
}

ChatParts::ChatParts(const ChatRequest& request, const chat::ChatModel& model, const Tokenizer& tokenizer,
                     std::string_view prompt)
    : request_(request), model_(model), tokenizer_(tokenizer) {
  const bool calls = request.tools.list != nullptr && !model.tool_format.empty();
  if (!calls && !model.reasoning) return;
  chat::OutputParserOptions options;
  if (calls) {
    options.tool_format = model.tool_format;
    options.tool_names = request.tools.names;
    options.parameter_types = request.tools.parameter_types;
    if (request.tools.choice == ToolChoice::kNamed) options.tool_names = {request.tools.named};
    options.parallel_tool_calls = request.tools.parallel;
  }
  options.reasoning = model.reasoning;
  options.starts_in_reasoning = opens_reasoning(prompt, model);
  parser_ = chat::make_output_parser(options);
  const std::string opening = call_opening(model, request.tools);
  if (!opening.empty() && prompt.ends_with(opening)) opening_ = parser_->push(opening);
}

ChatPart ChatParts::next(TextDelta delta) {
  ChatPart part;
  part.has_tokens = !delta.tokens.empty();
  if (!std::exchange(begun_, true) && request_.prompt_logprobs >= 0)
    part.prompt_logprobs = prompt_logprobs_json(delta.prompt_logprobs, request_.prompt_logprobs, tokenizer_);
  if (!opening_.empty()) take(part, std::exchange(opening_, {}));
  if (request_.logprobs) {
    for (size_t i = 0; i < delta.tokens.size(); ++i) {
      if (i > 0) part.logprobs += ',';
      append_position(part.logprobs, delta.tokens[i],
                      i < delta.logprobs.size() ? &delta.logprobs[i] : nullptr);
    }
  }
  say(part, delta.text, delta.tokens.size());
  if (delta.finish && parser_ != nullptr) take(part, parser_->finish());
  if (request_.return_token_ids) part.token_ids = std::move(delta.tokens);
  if (!delta.finish) return part;
  part.finish = std::move(delta.finish);
  part.stop_string = std::move(delta.stop_string);
  part.finish_is_call = has_calls_ && request_.tools.choice != ToolChoice::kNamed;
  return part;
}

// The tokens of the marks count as reasoning, too.
void ChatParts::say(ChatPart& part, std::string_view text, size_t num_tokens) {
  if (parser_ == nullptr) {
    part.said.content += text;
    return;
  }
  const bool before = parser_->in_reasoning();
  if (!text.empty()) take(part, parser_->push(text));
  if (before || parser_->in_reasoning()) reasoning_tokens_ += static_cast<int>(num_tokens);
}

void ChatParts::take(ChatPart& part, chat::OutputDelta said) {
  for (chat::ToolCallDelta& call : said.tool_calls) {
    has_calls_ = true;
    if (!call.name.empty() && call.id.empty()) call.id = new_tool_call_id(model_.tool_format);
  }
  if (!request_.include_reasoning) said.reasoning.clear();
  part.append(ChatPart{.said = std::move(said)});
}

void ChatParts::append_entry(std::string& out, const TokenLogprob& entry) const {
  const std::string bytes = tokenizer_.token_bytes(entry.token);
  out += R"("token":)";
  if (request_.tokens_as_ids) {
    format_to(out, "\"token_id:{}\"", entry.token);
  } else {
    json::append_string(out, tokenizer_.token_text(entry.token));
  }
  out += R"(,"logprob":)";
  append_logprob(out, entry.logprob);
  out += R"(,"bytes":[)";
  for (size_t i = 0; i < bytes.size(); ++i)
    format_to(out, "{}{}", i > 0 ? "," : "", static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
  out += ']';
}

void ChatParts::append_position(std::string& out, TokenId token, const PositionLogprobs* logprobs) const {
  out += '{';
  append_entry(out, logprobs == nullptr ? TokenLogprob{.token = token} : logprobs->chosen);
  out += R"(,"top_logprobs":[)";
  if (logprobs != nullptr) {
    for (size_t i = 0; i < logprobs->top.size(); ++i) {
      out += i > 0 ? ",{" : "{";
      append_entry(out, logprobs->top[i]);
      out += '}';
    }
  }
  out += "]}";
}

// ----------------------------------------------------------------------------------------------- writer

ChatWriter::ChatWriter(const ChatRequest& request, const chat::ChatModel& model, std::string_view id,
                       int64_t created)
    : request_(request),
      model_(model),
      chunk_prefix_(prefix("chat.completion.chunk", id, created, request.model)),
      whole_prefix_(prefix("chat.completion", id, created, request.model)) {}

// One event: its choice, and usage where it was asked for.
class ChatWriter::Chunk {
 public:
  Chunk(const ChatWriter& writer, int index, const Totals& totals, std::string& out)
      : writer_(writer), totals_(totals), out_(out) {
    out_ += "data: ";
    out_ += writer.chunk_prefix_;
    format_to(out_, R"(,"choices":[{{"index":{},"delta":{{)", index);
  }
  // After the delta's own fields. `part`: whose logprobs and token ids go with it; null: none do.
  void end_delta(const ChatPart* part) {
    out_ += '}';
    if (part != nullptr && writer_.request_.logprobs && !part->logprobs.empty()) {
      format_to(out_, R"(,"logprobs":{{"content":[{}],"refusal":null}})", part->logprobs);
    } else {
      out_ += R"(,"logprobs":null)";
    }
  }
  void finish_reason(const ChatPart* finished) {
    if (finished == nullptr) {
      out_ += R"(,"finish_reason":null)";
      return;
    }
    format_to(out_, R"(,"finish_reason":"{}")", openai::finish_reason(*finished));
    out_ += R"(,"stop_reason":)";
    append_stop_reason(out_, finished->stop_string, finished->finish);
  }
  void token_ids(const ChatPart* part) {
    if (part == nullptr || !writer_.request_.return_token_ids) return;
    out_ += R"(,"token_ids":)";
    append_ids(out_, part->token_ids);
  }
  void end(const Prompt* prompt = nullptr) {
    out_ += "}]";
    if (prompt != nullptr) writer_.append_prompt(out_, *prompt);
    if (writer_.request_.stream_options.continuous_usage) {
      out_ += R"(,"usage":)";
      append_chat_usage(out_, totals_);
    } else if (writer_.request_.stream_options.include_usage) {
      out_ += R"(,"usage":null)";
    }
    out_ += "}\n\n";
  }

 private:
  const ChatWriter& writer_;
  const Totals& totals_;
  std::string& out_;
};

void ChatWriter::append_prompt(std::string& out, const Prompt& prompt) const {
  if (request_.return_token_ids) {
    out += R"(,"prompt_token_ids":)";
    append_ids(out, prompt.ids);
  }
  if (request_.return_prompt_text) {
    out += R"(,"prompt_text":)";
    json::append_string(out, prompt.text);
  }
}

void ChatWriter::append_reasoning(std::string& out, std::string_view text) const {
  const chat::ReasoningField field = model_.options.reasoning_field;
  if (field != chat::ReasoningField::kReasoning) {
    out += R"("reasoning_content":)";
    json::append_string(out, text);
  }
  if (field == chat::ReasoningField::kBoth) out += ',';
  if (field != chat::ReasoningField::kReasoningContent) {
    out += R"("reasoning":)";
    json::append_string(out, text);
  }
}

std::string ChatWriter::first_chunks(int index, const Totals& totals, const Prompt& prompt) const {
  std::string out;
  Chunk role(*this, index, totals, out);
  out += R"("role":)";
  json::append_string(out, request_.role);
  out += R"(,"content":"")";
  role.end_delta(nullptr);
  role.finish_reason(nullptr);
  role.end(&prompt);
  if (request_.echo_text.empty()) return out;
  Chunk echo(*this, index, totals, out);
  out += R"("content":)";
  json::append_string(out, request_.echo_text);
  echo.end_delta(nullptr);
  echo.finish_reason(nullptr);
  echo.end();
  return out;
}

std::string ChatWriter::chunks(int index, const ChatPart& part, const Totals& totals) const {
  std::string out;
  const ChatPart* attached = &part;  // logprobs and token ids go with the first chunk
  const auto add = [&](const auto& append_fields, const ChatPart* finished) {
    Chunk chunk(*this, index, totals, out);
    append_fields();
    chunk.end_delta(attached);
    chunk.finish_reason(finished);
    chunk.token_ids(attached);
    chunk.end();
    attached = nullptr;
  };
  if (!part.said.reasoning.empty()) add([&] { append_reasoning(out, part.said.reasoning); }, nullptr);
  if (!part.said.content.empty()) {
    const auto content = [&] {
      out += R"("content":)";
      json::append_string(out, part.said.content);
    };
    add(content, nullptr);
  }
  for (const chat::ToolCallDelta& call : part.said.tool_calls) {
    const auto piece = [&] {
      out += R"("tool_calls":[)";
      append_tool_call(out, call, true);
      out += ']';
    };
    add(piece, nullptr);
  }
  if (part.finish) add([] {}, &part);
  return out;
}

void ChatWriter::append_message(std::string& out, const ChatPart& part) const {
  const chat::OutputDelta& said = part.said;
  out += R"({"role":)";
  json::append_string(out, request_.role);
  out += R"(,"content":)";
  if (said.content.empty() && request_.echo_text.empty() && !said.tool_calls.empty()) {
    out += "null";
  } else {
    json::append_string(out, request_.echo_text + said.content);
  }
  if (!said.reasoning.empty()) {
    out += ',';
    append_reasoning(out, said.reasoning);
  }
  if (!said.tool_calls.empty()) {
    out += R"(,"tool_calls":[)";
    for (size_t i = 0; i < said.tool_calls.size(); ++i) {
      if (i > 0) out += ',';
      append_tool_call(out, said.tool_calls[i], false);
    }
    out += ']';
  }
  out += R"(,"refusal":null})";
}

std::string ChatWriter::whole(std::span<const ChatPart> choices, const Totals& totals,
                              const Prompt& prompt) const {
  std::string out = whole_prefix_ + R"(,"choices":[)";
  for (size_t i = 0; i < choices.size(); ++i) {
    const ChatPart& part = choices[i];
    format_to(out, R"({}{{"index":{},"message":)", i > 0 ? "," : "", i);
    append_message(out, part);
    if (request_.logprobs) {
      format_to(out, R"(,"logprobs":{{"content":[{}],"refusal":null}})", part.logprobs);
    } else {
      out += R"(,"logprobs":null)";
    }
    format_to(out, R"(,"finish_reason":"{}")", finish_reason(part));
    out += R"(,"stop_reason":)";
    append_stop_reason(out, part.stop_string, part.finish);
    if (request_.return_token_ids) {
      out += R"(,"token_ids":)";
      append_ids(out, part.token_ids);
    }
    out += '}';
  }
  out += ']';
  if (!choices.empty() && choices.front().prompt_logprobs) {
    out += R"(,"prompt_logprobs":)";
    out += *choices.front().prompt_logprobs;
  }
  append_prompt(out, prompt);
  out += R"(,"usage":)";
  append_chat_usage(out, totals);
  out += '}';
  return out;
}

std::string ChatWriter::usage_chunk(const Totals& totals) const {
  std::string out = "data: " + chunk_prefix_ + R"(,"choices":[],"usage":)";
  append_chat_usage(out, totals);
  out += "}\n\n";
  return out;
}

void append_chat_usage(std::string& out, const ChatWriter::Totals& totals) {
  const Usage& usage = totals.usage;
  format_to(out,
            R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
            R"("prompt_tokens_details":{{"cached_tokens":{}}},)"
            R"("completion_tokens_details":{{"reasoning_tokens":{}}}}})",
            usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
            usage.cached_tokens, totals.reasoning_tokens);
}

}  // namespace pegainfer::openai
