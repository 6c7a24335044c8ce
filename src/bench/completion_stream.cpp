#include "bench/completion_stream.h"

#include <array>
#include <boost/json.hpp>
#include <cstddef>

namespace pegainfer::bench {
namespace {

namespace bj = boost::json;

constexpr size_t kMaxErrorBytes = 200;

const bj::object* object_at(const bj::object& object, std::string_view key) {
  const bj::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

std::string_view string_at(const bj::object& object, std::string_view key) {
  const bj::value* value = object.if_contains(key);
  const bj::string* string = value == nullptr ? nullptr : value->if_string();
  return string == nullptr ? std::string_view() : std::string_view(*string);
}

int int_at(const bj::object& object, std::string_view key) {
  const bj::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? static_cast<int>(value->get_int64()) : -1;
}

std::string message_of(const bj::value& error) {
  if (const bj::string* text = error.if_string()) return std::string(*text);
  if (const bj::object* object = error.if_object())
    if (const std::string_view message = string_at(*object, "message"); !message.empty())
      return std::string(message);
  return bj::serialize(error);
}

}  // namespace

void CompletionStream::feed(std::string_view bytes, double now) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      partial_ += bytes;
      return;
    }
    if (partial_.empty()) {
      line(bytes.substr(0, end), now);
    } else {
      partial_ += bytes.substr(0, end);
      line(partial_, now);
      partial_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
}

// Comments, event names and blank lines say nothing here.
void CompletionStream::line(std::string_view line, double now) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with("data:")) return;
  line.remove_prefix(5);
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (line != "[DONE]") chunk(line, now);
}

void CompletionStream::chunk(std::string_view data, double now) {
  std::array<unsigned char, 4096> buffer;  // NOLINT: filled by the parser
  bj::monotonic_resource memory(buffer.data(), buffer.size());
  bj::error_code error;
  const bj::value value = bj::parse(data, error, &memory);
  const bj::object* object = error ? nullptr : value.if_object();
  if (object == nullptr) {
    failed_ = true;
    outcome_.error = "a chunk that is no JSON object: " + std::string(data.substr(0, kMaxErrorBytes));
    return;
  }
  if (const bj::value* failure = object->if_contains("error"); failure != nullptr && !failure->is_null()) {
    failed_ = true;
    outcome_.error = message_of(*failure);
    return;
  }
  if (const bj::object* usage = object_at(*object, "usage")) {
    completion_tokens_ = int_at(*usage, "completion_tokens");
    if (const int prompt = int_at(*usage, "prompt_tokens"); prompt > 0) outcome_.prompt_len = prompt;
  }
  const bj::value* choices = object->if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return;
  const bj::object* choice = choices->get_array().front().if_object();
  if (choice == nullptr) return;
  std::string_view text = string_at(*choice, "text");
  const bj::object* delta = object_at(*choice, "delta");
  if (delta != nullptr) text = string_at(*delta, "content");
  const bj::value* reason = choice->if_contains("finish_reason");
  const bool ends = reason != nullptr && !reason->is_null();
  finished_ = finished_ || ends;
  // An empty text is a token that completes no character yet; at the end, or with the role that begins a
  // chat, it is none. But an answer that ends at once has had one: that which ended it.
  const bool role_only = delta != nullptr && delta->contains("role");
  if (!text.empty() || (ends ? num_arrivals_ == 0 : !role_only)) token(now);
  if (keep_text_) outcome_.text += text;
}

void CompletionStream::token(double now) {
  if (num_arrivals_++ == 0) {
    outcome_.ttft = now - outcome_.start;
  } else {
    outcome_.itls.push_back(now - last_);
  }
  last_ = now;
  outcome_.latency = now - outcome_.start;
}

void CompletionStream::finish() {
  outcome_.output_len = completion_tokens_ >= 0 ? completion_tokens_ : num_arrivals_;
  outcome_.success = finished_ && !failed_;
  if (outcome_.success || !outcome_.error.empty()) return;
  outcome_.error = num_arrivals_ == 0 ? "an answer without tokens" : "the stream ended before its finish";
}

std::string error_message(std::string_view body) {
  bj::error_code error;
  const bj::value value = bj::parse(body, error);
  const bj::object* object = error ? nullptr : value.if_object();
  if (object != nullptr && object->contains("error")) return message_of(object->at("error"));
  return std::string(body.substr(0, kMaxErrorBytes));
}

}  // namespace pegainfer::bench
