#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "tokenizer/json_components.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// Adds tokens one by one as `tokenizers` does: a known content keeps its id, a new one gets the next free id
// after the model's, whatever the file says.
class AddedTokens {
 public:
  explicit AddedTokens(const Vocab& vocab) : vocab_(vocab), next_id_(vocab.num_tokens()) {}

  Status add(AddedToken token, TokenId declared) {
    if (token.content.empty()) return ok_status();
    const auto known = by_content_.find(token.content);
    if (known != by_content_.end()) {
      token.id = tokens_[known->second].id;
      tokens_[known->second] = std::move(token);
      return ok_status();
    }
    token.id = vocab_.find_token(token.content);
    if (token.id < 0) token.id = next_id_++;
    if (token.id > Vocab::kMaxId) return invalid_argument("too many added tokens");
    if (declared >= 0 && declared != token.id) {
      LOG_WARN("tokenizer: added token {} is declared as id {}, but its place makes it {}",
               json::quote(token.content), declared, token.id);
    }
    by_content_.emplace(token.content, tokens_.size());
    tokens_.push_back(std::move(token));
    return ok_status();
  }

  // A call of add_tokens() begins: ids go on after the largest so far.
  void begin() {
    next_id_ = vocab_.num_tokens();
    for (const AddedToken& token : tokens_) next_id_ = std::max(next_id_, token.id + 1);
  }
  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  const Vocab& vocab_;
  TokenId next_id_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
};

Status add_from_file(const json::Object& root, AddedTokens& added) {
  const json::Value* const list = json::find(root, "added_tokens");
  if (list == nullptr) return ok_status();
  const json::Array* const array = list->if_array();
  if (array == nullptr) {
    return invalid_argument(fmt::format("added_tokens is {}, expected an array", json::kind_name(*list)));
  }
  added.begin();
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string where = fmt::format("added_tokens[{}]", i);
    ASSIGN_OR_RETURN(AddedToken token, parse_added_token((*array)[i], where));
    auto id = json::get_int((*array)[i].get_object(), "id");
    if (!id) return at(where, std::move(id).error());
    if (*id < 0 || *id > Vocab::kMaxId) {
      return invalid_argument(fmt::format("{}.id is {}, expected 0 to {}", where, *id, Vocab::kMaxId));
    }
    RETURN_IF_ERROR(added.add(std::move(token), static_cast<TokenId>(*id)));
  }
  return ok_status();
}

// tokenizer_config.json may know more added tokens, and its flags win, as in transformers.
Status add_from_config(const std::string& path, AddedTokens& added) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxFileBytes));
  auto parsed = json::parse(text);
  if (!parsed) return at(path, std::move(parsed).error());
  auto root = as_object(*parsed, "the file");
  if (!root) return at(path, std::move(root).error());
  const json::Value* const decoder = json::find(**root, "added_tokens_decoder");
  if (decoder == nullptr) return ok_status();
  auto entries = as_object(*decoder, "added_tokens_decoder");
  if (!entries) return at(path, std::move(entries).error());
  std::map<TokenId, AddedToken> by_id;
  for (const auto& entry : **entries) {
    const std::string_view key(entry.key().data(), entry.key().size());
    const std::string where = fmt::format("{}: added_tokens_decoder[{}]", path, json::quote(key));
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > Vocab::kMaxId) {
      return invalid_argument(fmt::format("{}: the key is no token id from 0 to {}", where, Vocab::kMaxId));
    }
    ASSIGN_OR_RETURN(by_id[id], parse_added_token(entry.value(), where));
  }
  added.begin();
  for (auto& [id, token] : by_id) RETURN_IF_ERROR(added.add(std::move(token), id));
  return ok_status();
}

Status check_version(const json::Object& root) {
  ASSIGN_OR_RETURN(const std::string version, json::get_string(root, "version", "1.0"));
  if (version == "1.0") return ok_status();
  return unsupported(
      fmt::format("version is {}, which is not supported; supported: 1.0", json::quote(version)));
}

Result<std::shared_ptr<const Tokenizer>> build(const json::Value& value, const std::string& config_path) {
  ASSIGN_OR_RETURN(const json::Object* const root, as_object(value, "the file"));
  RETURN_IF_ERROR(check_version(*root));
  const auto part = [&](std::string_view key) {
    static const json::Value kNull;
    const json::Value* const found = json::find(*root, key);
    return found == nullptr ? &kNull : found;
  };
  TokenizerParts parts;
  ASSIGN_OR_RETURN(parts.normalizers, parse_normalizers(*part("normalizer"), "normalizer"));
  ASSIGN_OR_RETURN(ParsedPreTokenizers pre, parse_pre_tokenizers(*part("pre_tokenizer"), "pre_tokenizer"));
  parts.pre_tokenizers = std::move(pre.steps);
  ASSIGN_OR_RETURN(parts.decoder, parse_decoder(*part("decoder"), "decoder"));
  ASSIGN_OR_RETURN(parts.templates, parse_post_processor(*part("post_processor"), "post_processor"));
  if (part("model")->is_null()) return invalid_argument("model is missing, expected an object");
  ASSIGN_OR_RETURN(parts.model, parse_model(*part("model"), pre.byte_level));
  AddedTokens added(parts.model->vocab());
  RETURN_IF_ERROR(add_from_file(*root, added));
  if (!config_path.empty()) RETURN_IF_ERROR(add_from_config(config_path, added));
  parts.added = added.take();
  return std::shared_ptr<const Tokenizer>(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

Result<std::shared_ptr<const Tokenizer>> load(std::string_view text, const std::string& name,
                                              const std::string& config_path) {
  auto parsed = json::parse(text);
  if (!parsed) return at(name, std::move(parsed).error());
  auto tokenizer = build(*parsed, config_path);
  if (!tokenizer) return at(name, std::move(tokenizer).error());
  return tokenizer;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer_json(const std::string& path,
                                                             const std::string& tokenizer_config_path) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxFileBytes));
  return load(text, path, tokenizer_config_path);
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer_json_text(std::string_view json) {
  return load(json, "tokenizer.json", "");
}

}  // namespace pegainfer
