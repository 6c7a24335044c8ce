// The "model" of tokenizer.json: a BPE vocabulary with its merges.
#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/json.h"
#include "tokenizer/json_components.h"

namespace pegainfer {
namespace {

Result<Vocab> parse_vocab(const json::Object& model, bool byte_level) {
  const json::Value* const value = json::find(model, "vocab");
  if (value == nullptr) return invalid_argument("model.vocab is missing, expected an object");
  ASSIGN_OR_RETURN(const json::Object* const entries, as_object(*value, "model.vocab"));
  size_t bytes = 0;
  for (const auto& entry : *entries) bytes += entry.key().size();
  Vocab vocab(byte_level);
  vocab.reserve(entries->size(), bytes);
  for (const auto& entry : *entries) {
    const json::Value& id = entry.value();
    const std::string_view token(entry.key().data(), entry.key().size());
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > Vocab::kMaxId) {
      return invalid_argument(fmt::format("model.vocab[{}] is {}, expected an id from 0 to {}",
                                          json::quote(token), json::dump(id), Vocab::kMaxId));
    }
    vocab.add(token, static_cast<TokenId>(id.get_int64()));
  }
  return vocab;
}

struct Pair {
  std::string_view left, right;
};

// ["a", "b"] or "a b".
Result<Pair> parse_merge(const json::Value& merge, size_t index) {
  const auto view = [](const json::Value& v) {
    return std::string_view(v.get_string().data(), v.get_string().size());
  };
  if (const json::Array* const pair = merge.if_array()) {
    if (pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string()) {
      return Pair{view((*pair)[0]), view((*pair)[1])};
    }
  } else if (merge.is_string()) {
    const std::string_view text = view(merge);
    const size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      return Pair{text.substr(0, space), text.substr(space + 1)};
    }
  }
  std::string found = json::dump(merge);
  if (found.size() > 80) found = found.substr(0, 80) + "...";
  return invalid_argument(fmt::format(
      "model.merges[{}] is {}, expected two tokens: [\"a\", \"b\"] or \"a b\"", index, json::quote(found)));
}

Result<MergeTable> parse_merges(const json::Object& model, const Vocab& vocab) {
  ASSIGN_OR_RETURN(const json::Array* const merges, get_array(model, "merges", "model"));
  MergeTable table;
  table.reserve(merges->size());
  std::string joined;
  uint32_t rank = 0;
  for (size_t i = 0; i < merges->size(); ++i) {
    const json::Value& merge = (*merges)[i];
    if (merge.is_string() && merge.get_string().starts_with("#version")) continue;
    ASSIGN_OR_RETURN(const Pair pair, parse_merge(merge, i));
    const auto missing = [&](std::string_view token) {
      return invalid_argument(fmt::format("model.merges[{}] makes or uses {}, which is not in model.vocab", i,
                                          json::quote(token)));
    };
    const TokenId left = vocab.find_token(pair.left);
    const TokenId right = vocab.find_token(pair.right);
    if (left < 0) return missing(pair.left);
    if (right < 0) return missing(pair.right);
    joined.clear();
    TokenId result = -1;
    if (vocab.byte_level() && vocab.is_raw(left) && vocab.is_raw(right)) {
      joined.append(vocab.form(left)).append(vocab.form(right));
      result = vocab.find_form(joined);
    } else {
      joined.append(pair.left).append(pair.right);
      result = vocab.find_token(joined);
    }
    if (result < 0) return missing(std::string(pair.left) + std::string(pair.right));
    table.add(left, right, rank++, result);
  }
  return table;
}

Status refuse_affixes(const json::Object& model) {
  for (const char* const key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    ASSIGN_OR_RETURN(const std::string affix, json::get_string(model, key, ""));
    if (!affix.empty()) {
      return unsupported(fmt::format("model.{} is {}, which is not supported; expected null or \"\"", key,
                                     json::quote(affix)));
    }
  }
  ASSIGN_OR_RETURN(const double dropout, json::get_number(model, "dropout", 0));
  if (dropout != 0)
    return unsupported(fmt::format("model.dropout is {}, which is not supported; expected null", dropout));
  return ok_status();
}

}  // namespace

Result<std::unique_ptr<Bpe>> parse_model(const json::Value& value, bool byte_level) {
  ASSIGN_OR_RETURN(const json::Object* const model, as_object(value, "model"));
  if (json::find(*model, "type") != nullptr || json::find(*model, "merges") == nullptr) {
    ASSIGN_OR_RETURN(const std::string type, component_type(*model, "model"));
    if (type != "BPE") return unsupported_type("model", type, "BPE");
  }
  if (auto status = refuse_affixes(*model); !status) return at("model", std::move(status).error());
  BpeOptions options;
  const std::array<std::pair<const char*, bool*>, 3> flags{{{"ignore_merges", &options.ignore_merges},
                                                            {"byte_fallback", &options.byte_fallback},
                                                            {"fuse_unk", &options.fuse_unk}}};
  for (const auto& [key, out] : flags) {
    auto flag = json::get_bool(*model, key, false);
    if (!flag) return at("model", std::move(flag).error());
    *out = *flag;
  }
  ASSIGN_OR_RETURN(Vocab vocab, parse_vocab(*model, byte_level));
  ASSIGN_OR_RETURN(MergeTable merges, parse_merges(*model, vocab));
  auto unk = json::get_string(*model, "unk_token", "");
  if (!unk) return at("model", std::move(unk).error());
  // `tokenizers` fails at the first unknown character when the token is missing; byte-level files name one
  // that they never need.
  if (!unk->empty()) options.unk = vocab.find_token(*unk);
  return std::make_unique<Bpe>(std::move(vocab), std::move(merges), options);
}

}  // namespace pegainfer
