// generation_config.json and tokenizer_config.json.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json.h"
#include "checkpoint/config.h"
#include "checkpoint/hf_json.h"
#include "checkpoint/names.h"

namespace pegainfer {
namespace {

Result<std::optional<double>> number_in(const Fields& f, std::string_view key, double least, double most) {
  if (f.find(key) == nullptr) return std::optional<double>();
  ASSIGN_OR_RETURN(const double v, f.number(key, 0));
  if (!(v >= least && v <= most)) {
    return f.error(key, fmt::format("is {}, expected {} to {}", v, least, most));
  }
  return std::optional<double>(v);
}

// A token as a string, or as the object {"content": "...", ...}; missing and null give "".
Result<std::string> token_text(const Fields& f, std::string_view key) {
  const json::Value* v = f.find(key);
  if (v == nullptr) return std::string();
  if (v->is_string()) return std::string(v->get_string());
  if (v->is_object()) {
    const json::Value* content = json::find(v->get_object(), "content");
    if (content != nullptr && content->is_string()) return std::string(content->get_string());
  }
  return f.error(key, fmt::format("is {}, expected a token: a string or an object with \"content\"",
                                  json::kind_name(*v)));
}

// Either the template, or a list of {name, template}, where "default" and "tool_use" are those that count.
Status read_chat_template(const Fields& f, TokenizerFacts& out) {
  const json::Value* v = f.find("chat_template");
  if (v == nullptr) return ok_status();
  if (const auto* text = v->if_string()) {
    out.chat_template = std::string(*text);
    return ok_status();
  }
  const json::Array* list = v->if_array();
  if (list == nullptr) {
    return f.error("chat_template", fmt::format("is {}, expected a string or a list of {{name, template}}",
                                                json::kind_name(*v)));
  }
  for (const json::Value& item : *list) {
    const json::Object* entry = item.if_object();
    const json::Value* name = entry == nullptr ? nullptr : json::find(*entry, "name");
    const json::Value* text = entry == nullptr ? nullptr : json::find(*entry, "template");
    if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string()) {
      return f.error("chat_template", "holds something else than objects of two strings, name and template");
    }
    if (name->get_string() == "default") out.chat_template = std::string(text->get_string());
    if (name->get_string() == "tool_use") out.tool_template = std::string(text->get_string());
  }
  return ok_status();
}

// As transformers names them to templates. What is not a token there is none: only templates use these.
void read_special_tokens(const Fields& f, TokenizerFacts& out) {
  for (const std::string_view name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    auto text = token_text(f, name);
    if (text && !text->empty()) out.special_tokens[std::string(name)] = *std::move(text);
  }
}

// added_tokens_decoder: {"151645": {"content": "<|im_end|>", ...}, ...}
Result<std::optional<TokenId>> find_in_decoder(const Fields& f, std::string_view token) {
  const json::Value* v = f.find("added_tokens_decoder");
  if (v == nullptr) return std::optional<TokenId>();
  const json::Object* decoder = v->if_object();
  if (decoder == nullptr) {
    return f.error("added_tokens_decoder", fmt::format("is {}, expected an object", json::kind_name(*v)));
  }
  for (const auto& member : *decoder) {
    const json::Object* entry = member.value().if_object();
    const json::Value* content = entry == nullptr ? nullptr : json::find(*entry, "content");
    if (content == nullptr || !content->is_string()) {
      return f.error("added_tokens_decoder", "holds an entry without a \"content\" string");
    }
    const std::string_view key(member.key().data(), member.key().size());
    TokenId id = -1;
    const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
    if (end.ec != std::errc() || end.ptr != key.data() + key.size() || id < 0) {
      return f.error("added_tokens_decoder",
                     fmt::format("has the key {}, expected a token id", quote_name(key)));
    }
    const std::string_view text(content->get_string().data(), content->get_string().size());
    if (text == token) return std::optional<TokenId>(id);
  }
  return std::optional<TokenId>();
}

}  // namespace

Result<GenerationDefaults> parse_generation_config(std::string_view json_text, const std::string& path) {
  ASSIGN_OR_RETURN(const json::Value value, parse_json_file(json_text, path));
  const Fields f(value.get_object(), path, "");
  GenerationDefaults out;
  ASSIGN_OR_RETURN(out.temperature, number_in(f, "temperature", 0, 1000));
  ASSIGN_OR_RETURN(out.top_p, number_in(f, "top_p", 0, 1));
  ASSIGN_OR_RETURN(out.min_p, number_in(f, "min_p", 0, 1));
  ASSIGN_OR_RETURN(out.repetition_penalty, number_in(f, "repetition_penalty", 0, 1000));
  if (f.find("top_k") != nullptr) {
    ASSIGN_OR_RETURN(const int top_k, f.integer("top_k", 0));
    if (top_k < -1) return f.error("top_k", fmt::format("is {}, expected -1 or more", top_k));
    out.top_k = std::max(top_k, 0);  // -1 and 0 both mean off
  }
  if (f.find("do_sample") != nullptr) {
    ASSIGN_OR_RETURN(out.do_sample, f.boolean("do_sample", false));
  }
  ASSIGN_OR_RETURN(out.eos_token_ids, f.token_ids("eos_token_id"));
  return out;
}

Result<TokenizerFacts> parse_tokenizer_config(std::string_view json_text, const std::string& path) {
  ASSIGN_OR_RETURN(const json::Value value, parse_json_file(json_text, path));
  const Fields f(value.get_object(), path, "");
  TokenizerFacts out;
  ASSIGN_OR_RETURN(out.eos_token, token_text(f, "eos_token"));
  RETURN_IF_ERROR(read_chat_template(f, out));
  read_special_tokens(f, out);
  if (!out.eos_token.empty()) {
    ASSIGN_OR_RETURN(out.eos_token_id, find_in_decoder(f, out.eos_token));
  }
  return out;
}

Result<std::optional<TokenId>> find_added_token(std::string_view tokenizer_json, const std::string& path,
                                                std::string_view token) {
  ASSIGN_OR_RETURN(const json::Value value, parse_json_file(tokenizer_json, path));
  const json::Value* list = json::find(value.get_object(), "added_tokens");
  if (list == nullptr || !list->is_array()) return std::optional<TokenId>();
  for (const json::Value& item : list->get_array()) {
    if (!item.is_object()) continue;
    const json::Value* content = json::find(item.get_object(), "content");
    if (content == nullptr || !content->is_string()) continue;
    if (std::string_view(content->get_string().data(), content->get_string().size()) != token) continue;
    ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                     Fields(item.get_object(), path, "added_tokens.").token_ids("id"));
    if (ids.size() == 1) return std::optional<TokenId>(ids[0]);
  }
  return std::optional<TokenId>();
}

}  // namespace pegainfer
