// config.json, generation_config.json, tokenizer_config.json and the added tokens of tokenizer.json.
#include "checkpoint/config.h"
#include "fuzz.h"

namespace {

template <class T>
bool accepted(const pegainfer::Result<T>& result) {
  if (!result) pegainfer::fuzz::check_message(result.error().message);
  return result.has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = parse_hf_config(text, "config.json"); accepted(config)) {
    CHECK(config->hidden_size > 0 && config->num_layers > 0 && config->vocab_size > 0);
    CHECK(config->num_kv_heads > 0 && config->num_heads % config->num_kv_heads == 0);
    CHECK(config->layer_uses_window.empty() ||
          config->layer_uses_window.size() == static_cast<size_t>(config->num_layers));
    CHECK(validate_config(*config, "config.json"), "accepted and then not");
  }
  accepted(parse_generation_config(text, "generation_config.json"));
  accepted(parse_tokenizer_config(text, "tokenizer_config.json"));
  accepted(find_added_token(text, "tokenizer.json", "</s>"));
  return 0;
}
