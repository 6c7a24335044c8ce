#include "server/openai/ignored_fields.h"

#include <fmt/core.h>

#include <array>

#include "base/json.h"
#include "base/log.h"

namespace pegainfer::openai {
namespace {

constexpr std::array kIgnored = std::to_array<IgnoredField>({
    // OpenAI
    {"user", "names the client's user; nothing is kept by user. At most 64 KiB, as `metadata`"},
    {"safety_identifier", "the same"},
    {"metadata", "nothing is stored"},
    {"store", "nothing is stored"},
    {"service_tier", "there is one; priority orders requests"},
    {"prompt_cache_key", "prefixes are found by content; cache_salt keeps them apart"},
    {"prompt_cache_options", "the same"},
    {"prompt_cache_retention", "blocks stay until their memory is needed"},
    {"verbosity", "a wish to OpenAI's own models"},
    {"moderation", "nothing is moderated"},
    {"prediction", "it speeds up what it does not change"},
    {"web_search_options", "nothing is searched"},
    // vLLM
    {"spaces_between_special_tokens", "text is the tokens' bytes, and nothing is put between them"},
    {"length_penalty", "of beam search"},
    {"session_id", "requests stand for themselves"},
    {"stream_interval", "every token is sent when it is there"},
    {"vllm_xargs", "of extensions"},
    // llama-server
    {"cache_prompt", "prefixes are always cached, unless the server was started without"},
    {"id_slot", "there are no slots"},
    {"n_keep", "a context that is full is an error, not cut"},
    {"n_discard", "the same"},
    {"n_indent", "of code infill"},
    {"min_keep", "every stage keeps at least one token"},
    {"samplers", "the order of the stages is fixed (docs/sampling.md)"},
    {"penalize_nl", "a newline is a token like others"},
    {"timings_per_token", "figures are in /metrics"},
    {"return_progress", "a prompt's progress is not streamed"},
    {"t_max_predict_ms", "timeout bounds a request"},
    // SGLang
    {"return_meta_info", "usage is always there"},
});

constexpr size_t kMaxLogged = 256;  // names are the client's choice

}  // namespace

std::span<const IgnoredField> ignored_fields() { return kIgnored; }

void UnknownFields::count(std::string_view name) {
  total_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (logged_.size() >= kMaxLogged || logged_.contains(name)) return;
  logged_.emplace(name.substr(0, 64));
  LOG_DEBUG("requests bring the field {}, which is ignored", json::quote(name.substr(0, 64)));
}

UnknownFields& unknown_fields() {
  static UnknownFields fields;
  return fields;
}

}  // namespace pegainfer::openai
