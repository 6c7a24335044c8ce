// POST /tokenize and /detokenize, with vLLM's field names and llama-server's `content`.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::openai {

struct TokenizeRequest {
  std::string text;
  EncodeOptions options;
  bool with_strings = false;  // return_token_strs
  bool is_chat = false;       // it has messages: the text is what a chat with them would be
};
Result<TokenizeRequest> parse_tokenize(std::string_view body, std::span<const std::string> model_names);
std::string format_tokenize(const TokenizeRequest& request, std::span<const TokenId> tokens,
                            int max_model_len, const Tokenizer& tokenizer);

Result<std::vector<TokenId>> parse_detokenize(std::string_view body, std::span<const std::string> model_names,
                                              int vocab_size);
std::string format_detokenize(std::string_view text);

}  // namespace pegainfer::openai
