#include "apps/generation.h"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "apps/interrupts.h"
#include "base/json.h"

namespace pegainfer::apps {
namespace {

using std::chrono::steady_clock;

double seconds(steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Events from the engine's thread, stamped there, to ours.
class Inbox {
 public:
  struct Item {
    TokenEvent event;
    steady_clock::time_point at;
  };

  void put(TokenEvent event) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back({std::move(event), steady_clock::now()});
    }
    available_.notify_one();
  }
  std::vector<Item> take() {
    std::unique_lock lock(mutex_);
    available_.wait(lock, [this] { return !items_.empty(); });
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable available_;
  std::vector<Item> items_;
};

std::string_view finish_name(const Generation& g) {
  if (g.interrupted) return "cancelled";
  return g.finish.reason == FinishReason::kLength ? "length" : "stop";
}

double per_second(int count, double s) { return count > 0 && s > 0 ? count / s : 0; }

// The first token belongs to the prompt's time, so that this is the speed of the others.
double decode_speed(const Generation& g) {
  return per_second(static_cast<int>(g.token_ids.size()) - 1, g.predicted_seconds);
}

void append_ids(std::string& out, std::string_view name, std::span<const TokenId> ids) {
  fmt::format_to(std::back_inserter(out), R"("{}":[)", name);
  for (size_t i = 0; i < ids.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "", ids[i]);
  out += "],";
}

}  // namespace

Result<Generation> run_generation(Engine& engine, const Tokenizer& tokenizer,
                                  const GenerationRequest& request,
                                  const std::function<void(std::string_view)>& on_text) {
  const auto inbox = std::make_shared<Inbox>();
  Generation out;
  out.prompt_token_ids = request.prompt;
  TextStream stream(tokenizer, request.text, request.prompt);
  const auto start = steady_clock::now();
  ASSIGN_OR_RETURN(const RequestId id,
                   engine.submit({.prompt = request.prompt,
                                  .sampling = request.sampling,
                                  .sink = [inbox](TokenEvent event) { inbox->put(std::move(event)); }}));
  std::atomic<bool> interrupted = false;
  const InterruptWatch watch([&] {
    interrupted = true;
    engine.cancel(id);
  });
  std::optional<steady_clock::time_point> first;
  steady_clock::time_point last = start;
  while (!stream.finished()) {
    for (Inbox::Item& item : inbox->take()) {
      if (stream.finished()) break;
      if (!first) first = item.at;
      if (!item.event.tokens.empty()) last = item.at;
      TextDelta delta = stream.push(std::move(item.event));
      if (delta.cancel) engine.cancel(id);
      out.text += delta.text;
      out.token_ids.insert(out.token_ids.end(), delta.tokens.begin(), delta.tokens.end());
      out.usage = delta.usage;
      if (delta.finish) out.finish = std::move(*delta.finish);
      if (delta.stop_string) out.stop_string = std::move(*delta.stop_string);
      if (!delta.text.empty() && on_text) on_text(delta.text);
    }
  }
  out.prompt_seconds = seconds(first.value_or(start) - start);
  out.predicted_seconds = last > *first ? seconds(last - *first) : 0;
  out.interrupted = interrupted && out.finish.reason == FinishReason::kCancelled;
  if (out.finish.reason == FinishReason::kError)
    return internal_error(out.finish.message.empty() ? "the engine failed" : out.finish.message);
  return out;
}

std::string generation_json(const Generation& g, double load_seconds) {
  std::string out = R"({"text":)";
  json::append_string(out, g.text);
  out += ',';
  append_ids(out, "token_ids", g.token_ids);
  append_ids(out, "prompt_token_ids", g.prompt_token_ids);
  fmt::format_to(std::back_inserter(out), R"("finish_reason":"{}","stop_reason":)", finish_name(g));
  if (!g.stop_string.empty()) {
    json::append_string(out, g.stop_string);
  } else if (g.finish.stop_token) {
    out += std::to_string(*g.finish.stop_token);
  } else {
    out += "null";
  }
  const auto prompt_n = static_cast<int>(g.prompt_token_ids.size());
  fmt::format_to(
      std::back_inserter(out),
      R"(,"timings":{{"prompt_n":{},"prompt_ms":{:.3f},"prompt_per_second":{:.2f},"predicted_n":{},)"
      R"("predicted_ms":{:.3f},"predicted_per_second":{:.2f}}},"load_ms":{:.1f}}})",
      prompt_n, g.prompt_seconds * 1e3, per_second(prompt_n, g.prompt_seconds), g.token_ids.size(),
      g.predicted_seconds * 1e3, decode_speed(g), load_seconds * 1e3);
  out += '\n';
  return out;
}

std::string generation_figures(const Generation& g, double load_seconds) {
  const auto prompt_n = static_cast<int>(g.prompt_token_ids.size());
  return fmt::format("load {:.2f} s | prompt {} tokens, {:.1f} tok/s | decode {} tokens, {:.1f} tok/s | {}",
                     load_seconds, prompt_n, per_second(prompt_n, g.prompt_seconds), g.token_ids.size(),
                     decode_speed(g), finish_name(g));
}

}  // namespace pegainfer::apps
