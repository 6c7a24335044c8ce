// The components of tokenizer.json, each from its JSON object.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"
#include "tokenizer/pipeline.h"

namespace boost::json {  // a heavy header, which only .cpp files include (base/json.h)
class value;
class object;
class array;
}  // namespace boost::json

namespace pegainfer {

// `value` may be null: no such component. `where` names it in messages.
Result<Normalizers> parse_normalizers(const boost::json::value& value, const std::string& where);
struct ParsedPreTokenizers {
  PreTokenizers steps;
  bool byte_level = false;  // the pieces then go on as the bytes of GPT-2's alphabet
};
Result<ParsedPreTokenizers> parse_pre_tokenizers(const boost::json::value& value, const std::string& where);
Result<DecoderSteps> parse_decoder(const boost::json::value& value, const std::string& where);
Result<std::vector<std::vector<TokenId>>> parse_post_processor(const boost::json::value& value,
                                                               const std::string& where);
Result<std::unique_ptr<Bpe>> parse_model(const boost::json::value& value, bool byte_level);
Result<AddedToken> parse_added_token(const boost::json::value& value, const std::string& where);

// For all of them.
Result<const boost::json::object*> as_object(const boost::json::value& value, const std::string& where);
Result<const boost::json::array*> get_array(const boost::json::object& object, std::string_view key,
                                            const std::string& where);
Result<std::string> component_type(const boost::json::object& object, const std::string& where);
Error unsupported_type(const std::string& where, std::string_view type, std::string_view supported);
// Puts `where` before the message.
Error at(const std::string& where, Error error);

}  // namespace pegainfer
