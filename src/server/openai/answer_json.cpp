#include "server/openai/answer_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"

namespace pegainfer::openai {

void append_ids(std::string& out, std::span<const TokenId> ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "", ids[i]);
  out += ']';
}

void append_stop_reason(std::string& out, const std::optional<std::string>& stop_string,
                        const std::optional<Finish>& finish) {
  if (stop_string) {
    json::append_string(out, *stop_string);
  } else if (finish && finish->stop_token) {
    fmt::format_to(std::back_inserter(out), "{}", *finish->stop_token);
  } else {
    out += "null";
  }
}

void append_logprob(std::string& out, float logprob) {
  constexpr float kLowest = -9999.0F;
  fmt::format_to(std::back_inserter(out), "{}", logprob > kLowest ? logprob : kLowest);
}

std::string prompt_logprobs_json(std::span<const PositionLogprobs> positions, int count,
                                 const Tokenizer& tokenizer) {
  std::string out = "[null";
  const auto append = [&](const TokenLogprob& entry, size_t rank) {
    fmt::format_to(std::back_inserter(out), R"("{}":{{"logprob":)", entry.token);
    append_logprob(out, entry.logprob);
    out += R"(,"rank":)";
    out += rank > 0 ? std::to_string(rank) : "null";
    out += R"(,"decoded_token":)";
    json::append_string(out, tokenizer.token_text(entry.token));
    out += '}';
  };
  for (const PositionLogprobs& position : positions) {
    const auto& top = position.top;
    const auto is_chosen = [&](const TokenLogprob& entry) { return entry.token == position.chosen.token; };
    const auto place = std::ranges::find_if(top, is_chosen);
    out += ",{";
    append(position.chosen, place == top.end() ? 0 : static_cast<size_t>(place - top.begin()) + 1);
    const auto shown = std::min(top.size(), static_cast<size_t>(count));
    for (size_t i = 0; i < shown; ++i) {
      if (is_chosen(top[i])) continue;
      out += ',';
      append(top[i], i + 1);
    }
    out += '}';
  }
  out += ']';
  return out;
}

}  // namespace pegainfer::openai
