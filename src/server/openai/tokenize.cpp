#include "server/openai/tokenize.h"

#include <limits>

#include "base/json.h"
#include "server/openai/answer_json.h"
#include "server/openai/fields.h"
#include "server/openai/request_body.h"

namespace pegainfer::openai {

Result<TokenizeRequest> parse_tokenize(std::string_view body, std::span<const std::string> model_names) {
  ASSIGN_OR_RETURN(const json::Value value, parse_object(body));
  const json::Object& object = value.get_object();
  RETURN_IF_ERROR(parse_model(object, model_names));
  Fields fields(object);
  TokenizeRequest request;
  request.is_chat = fields.find("messages") != nullptr;
  const auto prompt = fields.text("prompt");
  const auto content = fields.text("content");
  if (request.is_chat && (prompt || content))
    fields.fail("prompt", "prompt and messages are both there; send one of them");
  if (!request.is_chat && !prompt && !content)
    fields.fail("prompt", "prompt is missing", "missing_parameter");
  if (prompt && content) fields.fail("content", "prompt and content are both there; send one of them");
  request.text = prompt.value_or(content.value_or(""));
  request.options.add_special_tokens = fields.flag("add_special_tokens", true);
  request.with_strings = fields.flag("return_token_strs", false);
  if (!fields.ok()) return fields.error();
  return request;
}

std::string format_tokenize(const TokenizeRequest& request, std::span<const TokenId> tokens,
                            int max_model_len, const Tokenizer& tokenizer) {
  std::string out = R"({"count":)" + std::to_string(tokens.size()) + R"(,"max_model_len":)" +
                    std::to_string(max_model_len) + R"(,"tokens":)";
  append_ids(out, tokens);
  out += R"(,"token_strs":)";
  if (!request.with_strings) return out + "null}";
  out += '[';
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += ',';
    json::append_string(out, tokenizer.token_text(tokens[i]));
  }
  return out + "]}";
}

Result<std::vector<TokenId>> parse_detokenize(std::string_view body, std::span<const std::string> model_names,
                                              int vocab_size) {
  ASSIGN_OR_RETURN(const json::Value value, parse_object(body));
  const json::Object& object = value.get_object();
  RETURN_IF_ERROR(parse_model(object, model_names));
  Fields fields(object);
  if (fields.find("tokens") == nullptr) fields.fail("tokens", "tokens is missing", "missing_parameter");
  std::vector<TokenId> tokens = fields.token_ids("tokens", vocab_size, std::numeric_limits<size_t>::max());
  if (!fields.ok()) return fields.error();
  return tokens;
}

std::string format_detokenize(std::string_view text) {
  const std::string quoted = json::quote(text);
  return R"({"prompt":)" + quoted + R"(,"content":)" + quoted + "}";
}

}  // namespace pegainfer::openai
