// Tokenizers from GGUF metadata. Where llama.cpp and Hugging Face's tokenizer of the same model differ, the
// latter is followed (Qwen's NFC, which llama.cpp leaves out).
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer_loader.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// tokenizer.ggml.token_type
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

int32_t type_of(const GgufVocab& vocab, size_t id) {
  return vocab.token_types.empty() ? kNormal : vocab.token_types[id];
}

Status check_shape(const GgufVocab& vocab) {
  const size_t n = vocab.tokens.size();
  if (n == 0) return invalid_argument("tokenizer.ggml.tokens is missing or empty");
  if (n > static_cast<size_t>(Vocab::kMaxId)) {
    return invalid_argument(
        fmt::format("tokenizer.ggml.tokens has {} entries, expected at most {}", n, Vocab::kMaxId));
  }
  if (!vocab.scores.empty() && vocab.scores.size() != n) {
    return invalid_argument(
        fmt::format("tokenizer.ggml.scores has {} entries, expected {} as tokens", vocab.scores.size(), n));
  }
  if (!vocab.token_types.empty() && vocab.token_types.size() != n) {
    return invalid_argument(fmt::format("tokenizer.ggml.token_type has {} entries, expected {} as tokens",
                                        vocab.token_types.size(), n));
  }
  for (size_t i = 0; i < n; ++i) {
    if (!utf8::valid(vocab.tokens[i])) {
      return invalid_argument(fmt::format("tokenizer.ggml.tokens[{}] is {}, which is not valid UTF-8", i,
                                          json::quote(vocab.tokens[i])));
    }
  }
  const std::array<std::pair<const char*, std::optional<TokenId>>, 4> ids{
      {{"bos", vocab.bos_id}, {"eos", vocab.eos_id}, {"unknown", vocab.unk_id}, {"padding", vocab.pad_id}}};
  for (const auto& [name, id] : ids) {
    if (id && (*id < 0 || static_cast<size_t>(*id) >= n)) {
      return invalid_argument(
          fmt::format("tokenizer.ggml.{}_token_id is {}, expected an id below {}", name, *id, n));
    }
  }
  return ok_status();
}

std::vector<AddedToken> added_tokens(const GgufVocab& vocab) {
  std::vector<AddedToken> added;
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    const int32_t type = type_of(vocab, i);
    if (type != kControl && type != kUserDefined && type != kUnknown) continue;
    if (vocab.tokens[i].empty() || !seen.try_emplace(vocab.tokens[i], i).second) continue;
    added.push_back({.id = static_cast<TokenId>(i),
                     .content = vocab.tokens[i],
                     .special = type != kUserDefined,
                     .single_word = false,
                     .lstrip = false,
                     .rstrip = false,
                     .normalized = false});
  }
  return added;
}

// BOS and EOS around the text, as the metadata asks.
Status add_template(const GgufVocab& vocab, bool bos_by_default, TokenizerParts& parts) {
  const bool bos = vocab.add_bos.value_or(bos_by_default && vocab.bos_id.has_value());
  const bool eos = vocab.add_eos.value_or(false);
  if (bos && !vocab.bos_id) {
    return invalid_argument(
        "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing");
  }
  if (eos && !vocab.eos_id) {
    return invalid_argument(
        "tokenizer.ggml.add_eos_token is true, but tokenizer.ggml.eos_token_id is missing");
  }
  if (!bos && !eos) return ok_status();
  std::vector<TokenId> ids;
  if (bos) ids.push_back(*vocab.bos_id);
  ids.push_back(kTemplateText);
  if (eos) ids.push_back(*vocab.eos_id);
  parts.templates.push_back(std::move(ids));
  return ok_status();
}

Vocab make_vocab(const GgufVocab& vocab, bool byte_level) {
  size_t bytes = 0;
  for (const std::string& token : vocab.tokens) bytes += token.size();
  Vocab out(byte_level);
  out.reserve(vocab.tokens.size(), bytes);
  for (size_t i = 0; i < vocab.tokens.size(); ++i) out.add(vocab.tokens[i], static_cast<TokenId>(i));
  return out;
}

struct PreType {
  std::string_view name;
  bool ignore_merges;
  bool add_bos;
  Status (*fill)(TokenizerParts& parts);
};

Status fill_gpt2(TokenizerParts& parts) {
  parts.pre_tokenizers.push_back(make_scan(scan_gpt2));
  return ok_status();
}
Status fill_smollm(TokenizerParts& parts) {
  parts.pre_tokenizers.push_back(make_digits(true));
  return fill_gpt2(parts);
}
Status fill_qwen2(TokenizerParts& parts) {
  parts.normalizers.push_back(make_form_normalizer(unicode::Form::kNfc));
  parts.pre_tokenizers.push_back(make_scan(scan_qwen2));
  return ok_status();
}
Status fill_llama3(TokenizerParts& parts) {
  parts.pre_tokenizers.push_back(make_scan(scan_llama3));
  return ok_status();
}
// What llama.cpp does with a file that does not say: punctuation apart, then GPT-2's pieces, then numbers
// and their first three digits.
Status fill_default(TokenizerParts& parts) {
  const auto split = [&](std::string_view pattern) -> Status {
    ASSIGN_OR_RETURN(auto regex, Regex::compile(pattern));
    parts.pre_tokenizers.push_back(make_split(std::move(regex), Behavior::kIsolated, false));
    return ok_status();
  };
  RETURN_IF_ERROR(split(R"([\p{P}\$\+<=>\^~\|]+)"));
  parts.pre_tokenizers.push_back(make_scan(scan_gpt2));
  RETURN_IF_ERROR(split(R"(\p{N}+)"));
  return split("[0-9][0-9][0-9]");
}

constexpr std::array<PreType, 5> kPreTypes{{{"smollm", false, false, fill_smollm},
                                            {"qwen2", false, false, fill_qwen2},
                                            {"llama-bpe", true, true, fill_llama3},
                                            {"gpt-2", false, false, fill_gpt2},
                                            {"default", false, false, fill_default}}};

Result<MergeTable> parse_merges(const GgufVocab& vocab, const Vocab& tokens) {
  MergeTable table;
  table.reserve(vocab.merges.size());
  std::string joined;
  for (size_t i = 0; i < vocab.merges.size(); ++i) {
    const std::string_view merge = vocab.merges[i];
    // The first token may itself begin with a space in no byte-level vocabulary, but an empty one is an
    // error.
    const size_t space = merge.find(' ', 1);
    const auto wrong = [&](std::string_view why) {
      return invalid_argument(fmt::format("tokenizer.ggml.merges[{}] is {}: {}", i, json::quote(merge), why));
    };
    if (!utf8::valid(merge)) return wrong("not valid UTF-8");
    if (space == std::string_view::npos || space + 1 == merge.size())
      return wrong("expected two tokens, \"a b\"");
    const TokenId left = tokens.find_token(merge.substr(0, space));
    const TokenId right = tokens.find_token(merge.substr(space + 1));
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const TokenId result = tokens.find_token(joined);
    if (left < 0 || right < 0 || result < 0) return wrong("a token that is not in tokenizer.ggml.tokens");
    table.add(left, right, static_cast<uint32_t>(i), result);
  }
  return table;
}

Result<std::shared_ptr<const Tokenizer>> make_byte_level(const GgufVocab& vocab) {
  const std::string_view pre = vocab.pre.empty() ? "default" : std::string_view(vocab.pre);
  const auto* const type =
      std::find_if(kPreTypes.begin(), kPreTypes.end(), [&](const PreType& t) { return t.name == pre; });
  if (type == kPreTypes.end()) {
    std::string names;
    for (const PreType& t : kPreTypes) names += (names.empty() ? "" : ", ") + std::string(t.name);
    return unsupported(fmt::format("tokenizer.ggml.pre is {}, which is not supported; supported: {}",
                                   json::quote(pre), names));
  }
  TokenizerParts parts;
  RETURN_IF_ERROR(type->fill(parts));
  Vocab tokens = make_vocab(vocab, true);
  ASSIGN_OR_RETURN(MergeTable merges, parse_merges(vocab, tokens));
  parts.model = std::make_unique<Bpe>(std::move(tokens), std::move(merges),
                                      BpeOptions{.ignore_merges = type->ignore_merges});
  parts.decoder.push_back({.kind = DecoderStep::Kind::kByteLevel});
  parts.added = added_tokens(vocab);
  RETURN_IF_ERROR(add_template(vocab, type->add_bos, parts));
  return std::shared_ptr<const Tokenizer>(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

// SentencePiece merges the two neighbours whose union is the token of highest score. As rules: every way to
// cut a token in two symbols, ranked by the token's score.
class SentencePieceRules {
 public:
  SentencePieceRules(const GgufVocab& vocab, const Vocab& tokens) : vocab_(vocab), tokens_(tokens) {}

  MergeTable make() {
    const std::vector<uint32_t> ranks = score_ranks();
    for (size_t i = 0; i < vocab_.tokens.size(); ++i) {
      const std::string_view token = vocab_.tokens[i];
      const auto id = static_cast<TokenId>(i);
      if (!takes_part(id) || tokens_.find_form(token) != id) continue;
      for (size_t cut = unicode::length_of(token.empty() ? 'x' : token[0]); cut < token.size();
           cut += unicode::length_of(token[cut])) {
        const TokenId left = symbol(token.substr(0, cut));
        const TokenId right = left < 0 ? -1 : symbol(token.substr(cut));
        if (right >= 0) table_.add(left, right, ranks[i], id);
      }
    }
    return std::move(table_);
  }
  [[nodiscard]] const std::vector<uint32_t>& inner_characters() const { return inner_; }

 private:
  [[nodiscard]] bool takes_part(TokenId id) const {
    const int32_t type = type_of(vocab_, static_cast<size_t>(id));
    return type != kControl && type != kUnknown && type != kByte;
  }
  [[nodiscard]] std::vector<uint32_t> score_ranks() const {
    std::vector<float> scores = vocab_.scores;
    std::sort(scores.begin(), scores.end(), std::greater<>());
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    std::vector<uint32_t> ranks(vocab_.scores.size());
    for (size_t i = 0; i < ranks.size(); ++i) {
      const auto it = std::lower_bound(scores.begin(), scores.end(), vocab_.scores[i], std::greater<>());
      ranks[i] = static_cast<uint32_t>(it - scores.begin());
    }
    return ranks;
  }
  // A token's id, or the number of a character that only occurs inside tokens, or -1.
  TokenId symbol(std::string_view text) {
    const TokenId id = tokens_.find_form(text);
    if (id >= 0 && takes_part(id)) return id;
    if (text.size() != unicode::length_of(text[0])) return -1;
    const uint32_t code = unicode::decode(text.data()).code;
    const auto [it, is_new] =
        inner_ids_.try_emplace(code, tokens_.size() + static_cast<TokenId>(inner_.size()));
    if (is_new) inner_.push_back(code);
    return it->second;
  }

  const GgufVocab& vocab_;
  const Vocab& tokens_;
  MergeTable table_;
  std::vector<uint32_t> inner_;
  std::unordered_map<uint32_t, TokenId> inner_ids_;
};

Result<std::shared_ptr<const Tokenizer>> make_sentencepiece(const GgufVocab& vocab) {
  if (vocab.scores.empty()) {
    return invalid_argument("tokenizer.ggml.scores is missing, which the tokenizer model \"llama\" needs");
  }
  for (size_t i = 0; i < vocab.scores.size(); ++i) {
    if (std::isnan(vocab.scores[i]))
      return invalid_argument(fmt::format("tokenizer.ggml.scores[{}] is not a number", i));
  }
  const bool prefix = vocab.add_space_prefix.value_or(true);
  TokenizerParts parts;
  const std::string mark(kSpaceMark);
  if (prefix) parts.normalizers.push_back(make_prepend(mark));
  parts.normalizers.push_back(make_replace(std::string(" "), mark));
  Vocab tokens = make_vocab(vocab, false);
  SentencePieceRules rules(vocab, tokens);
  MergeTable merges = rules.make();
  BpeOptions options{.byte_fallback = true, .fuse_unk = true};
  if (vocab.unk_id) {
    options.unk = *vocab.unk_id;
  } else {
    for (size_t i = 0; i < vocab.tokens.size() && options.unk < 0; ++i) {
      if (type_of(vocab, i) == kUnknown) options.unk = static_cast<TokenId>(i);
    }
  }
  parts.model = std::make_unique<Bpe>(std::move(tokens), std::move(merges), options);
  parts.model->add_inner_characters(rules.inner_characters());
  using Kind = DecoderStep::Kind;
  parts.decoder.push_back({.kind = Kind::kReplace, .pattern = mark, .content = " "});
  parts.decoder.push_back({.kind = Kind::kByteFallback});
  parts.decoder.push_back({.kind = Kind::kFuse});
  if (prefix) parts.decoder.push_back({.kind = Kind::kStrip, .pattern = " ", .start = 1});
  parts.added = added_tokens(vocab);
  RETURN_IF_ERROR(add_template(vocab, true, parts));
  return std::shared_ptr<const Tokenizer>(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_tokenizer(const GgufVocab& vocab) {
  if (vocab.model != "gpt2" && vocab.model != "llama") {
    return unsupported(
        fmt::format("tokenizer.ggml.model is {}, which is not supported; supported: gpt2, llama",
                    json::quote(vocab.model)));
  }
  RETURN_IF_ERROR(check_shape(vocab));
  return vocab.model == "gpt2" ? make_byte_level(vocab) : make_sentencepiece(vocab);
}

}  // namespace pegainfer
