// What the tools of other servers ask about this one: load, configuration, the model. Each answer has the
// shape that the server it comes from gives it, with the fields that mean something here.
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "server/service.h"
#include "server/version.h"

namespace pegainfer::server {
namespace {

void answer(http::Responder& responder, const json::Value& value) {
  http::Response response;
  response.body = json::dump(value);
  responder.send(std::move(response));
}

std::string_view name_of(const ServedModel& model) { return model.names.front(); }

// Positions of the KV cache; block 0 holds none.
int64_t num_kv_tokens(const EngineInfo& info) {
  return static_cast<int64_t>(info.num_kv_blocks - 1) * info.block_size;
}

int64_t num_used_tokens(const EngineInfo& info, const EngineStats& stats) {
  return static_cast<int64_t>(stats.num_total_blocks - stats.num_free_blocks) * info.block_size;
}

// SGLang's /get_load, of the one engine there is.
json::Object load_of(const ServedModel& model) {
  const EngineStats stats = model.engine->stats();
  return {{"dp_rank", 0},
          {"num_reqs", stats.num_running + stats.num_waiting},
          {"num_waiting_reqs", stats.num_waiting},
          {"num_tokens", num_used_tokens(model.engine->info(), stats)}};
}

// llama-server's names for what a request gets that says nothing.
json::Object default_params(const ServedModel& model) {
  const openai::SamplingDefaults& d = model.defaults;
  return {{"seed", -1},
          {"temperature", d.temperature.value_or(1.0)},
          {"top_k", d.top_k.value_or(0)},
          {"top_p", d.top_p.value_or(1.0)},
          {"min_p", d.min_p.value_or(0.0)},
          {"repeat_penalty", d.repetition_penalty.value_or(1.0)},
          {"n_predict", -1},
          {"max_tokens", -1},
          {"n_keep", 0},
          {"ignore_eos", false},
          {"stream", true}};
}

std::string special_token(const ServedModel& model, const std::string& name) {
  const auto& tokens = model.chat->special_tokens;
  const auto found = tokens.find(name);
  return found == tokens.end() ? "" : found->second;
}

}  // namespace

// vLLM's: requests under way.
void Service::load(const http::Request& /*request*/, http::ResponderPtr responder) {
  answer(*responder, json::Object{{"server_load", num_jobs()}});
}

void Service::load_list(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model != nullptr) answer(*responder, json::Array{load_of(*model)});
}

// SGLang's, which its router and its benchmark read.
void Service::server_info(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  const EngineInfo& info = model->engine->info();
  const EngineStats stats = model->engine->stats();
  json::Object state = load_of(*model);
  state["num_running_reqs"] = stats.num_running;
  state["num_cached_blocks"] = stats.num_cached_blocks;
  answer(*responder, json::Object{{"version", kVersion},
                                  {"status", unready() ? "not ready" : "ready"},
                                  {"model_path", name_of(*model)},
                                  {"tokenizer_path", name_of(*model)},
                                  {"served_model_name", name_of(*model)},
                                  {"architecture", info.architecture},
                                  {"dtype", info.dtype},
                                  {"context_length", info.max_model_len},
                                  {"max_model_len", info.max_model_len},
                                  {"max_running_requests", info.max_num_seqs},
                                  {"max_total_num_tokens", num_kv_tokens(info)},
                                  {"page_size", info.block_size},
                                  {"tp_size", 1},
                                  {"dp_size", 1},
                                  {"internal_states", json::Array{std::move(state)}}});
}

void Service::model_info(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  const EngineInfo& info = model->engine->info();
  answer(*responder, json::Object{{"model_path", name_of(*model)},
                                  {"tokenizer_path", name_of(*model)},
                                  {"is_generation", true},
                                  {"preferred_sampling_params", nullptr},
                                  {"has_image_understanding", false},
                                  {"has_audio_understanding", false},
                                  {"model_type", info.architecture},
                                  {"context_length", info.max_model_len},
                                  {"vocab_size", info.vocab_size}});
}

// llama-server's, which its web pages read.
void Service::props(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  const EngineInfo& info = model->engine->info();
  json::Object props{{"default_generation_settings", json::Object{{"n_ctx", info.max_model_len},
                                                                  {"is_processing", num_jobs() > 0},
                                                                  {"params", default_params(*model)}}},
                     {"total_slots", info.max_num_seqs},
                     {"model_alias", name_of(*model)},
                     {"model_path", name_of(*model)},
                     {"modalities", json::Object{{"vision", false}, {"audio", false}}},
                     {"endpoint_slots", false},
                     {"endpoint_props", false},
                     {"endpoint_metrics", bool(watching_.metrics)},
                     {"bos_token", special_token(*model, "bos_token")},
                     {"eos_token", special_token(*model, "eos_token")},
                     {"build_info", "pegainfer " + std::string(kVersion)}};
  if (model->chat->plain != nullptr) props["chat_template"] = model->chat->plain->source();
  if (model->chat->with_tools != nullptr && model->chat->with_tools != model->chat->plain)
    props["chat_template_tool_use"] = model->chat->with_tools->source();
  answer(*responder, props);
}

}  // namespace pegainfer::server
