#include "checkpoint/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/layout.h"
#include "checkpoint/names.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_files.h"

namespace pegainfer {
namespace {

constexpr uint64_t kMaxConfigBytes = 4 << 20;
constexpr uint64_t kMaxTokenizerConfigBytes = 64 << 20;
constexpr uint64_t kMaxTokenizerBytes = 512 << 20;
constexpr uint64_t kMaxTemplateBytes = 4 << 20;
// The class default of LlamaConfig and MistralConfig, for checkpoints that say nothing anywhere.
constexpr TokenId kDefaultLlamaEos = 2;

// The EOS set: everything that any of the files calls an end. Ids past the vocabulary cannot be generated.
void set_eos(Checkpoint& c, std::optional<TokenId> tokenizer_eos) {
  std::vector<TokenId>& out = c.eos_token_ids;
  out = c.generation.eos_token_ids;
  if (c.config) out.insert(out.end(), c.config->eos_token_ids.begin(), c.config->eos_token_ids.end());
  if (tokenizer_eos) out.push_back(*tokenizer_eos);
  const bool llama = c.config && (c.config->architecture == Architecture::kLlama ||
                                  c.config->architecture == Architecture::kMistral);
  if (out.empty() && llama) out.push_back(kDefaultLlamaEos);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (!c.config) return;
  const auto past = std::lower_bound(out.begin(), out.end(), c.config->vocab_size);
  if (past == out.end()) return;
  LOG_WARN("{}: {} end-of-sequence id(s) from {} on lie past the vocabulary of {} and are ignored", c.path,
           out.end() - past, *past, c.config->vocab_size);
  out.erase(past, out.end());
}

// config.json, when the folder has one. Without weights to load a model we could not run is no error: its
// tokenizer is still good.
Status read_config(Checkpoint& c, bool needed) {
  const std::string path = file_in(c.directory, "config.json");
  if (path.empty()) {
    if (!needed) return ok_status();
    return not_found(fmt::format("{}: no config.json", c.directory));
  }
  Result<std::string> text = read_text_file(path, kMaxConfigBytes);
  Result<ModelConfig> config = text ? parse_hf_config(*text, path) : Result<ModelConfig>(text.error());
  if (!config) return needed ? Status(config.error()) : ok_status();
  c.config = *std::move(config);
  return ok_status();
}

Status read_generation_config(Checkpoint& c) {
  const std::string path = file_in(c.directory, "generation_config.json");
  if (path.empty()) return ok_status();
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(c.generation, parse_generation_config(text, path));
  return ok_status();
}

// tokenizer_config.json, else special_tokens_map.json, say what ends a text; added_tokens_decoder or, in
// newer checkpoints, tokenizer.json says which id that is.
Result<std::optional<TokenId>> read_tokenizer_files(Checkpoint& c) {
  c.tokenizer_json_path = file_in(c.directory, "tokenizer.json");
  c.tokenizer_config_path = file_in(c.directory, "tokenizer_config.json");
  TokenizerFacts facts;
  if (!c.tokenizer_config_path.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     read_text_file(c.tokenizer_config_path, kMaxTokenizerConfigBytes));
    ASSIGN_OR_RETURN(facts, parse_tokenizer_config(text, c.tokenizer_config_path));
  }
  c.chat_template = std::move(facts.chat_template);
  c.tool_template = std::move(facts.tool_template);
  if (const std::string path = file_in(c.directory, "chat_template.jinja"); !path.empty()) {
    ASSIGN_OR_RETURN(c.chat_template, read_text_file(path, kMaxTemplateBytes));
    c.tool_template.clear();
  }
  const std::string more = c.directory + "/additional_chat_templates";
  if (const std::string path = file_in(more, "tool_use.jinja"); !path.empty()) {
    ASSIGN_OR_RETURN(c.tool_template, read_text_file(path, kMaxTemplateBytes));
  }
  if (const std::string path = file_in(c.directory, "special_tokens_map.json");
      facts.eos_token.empty() && !path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxConfigBytes));
    ASSIGN_OR_RETURN(TokenizerFacts map, parse_tokenizer_config(text, path));
    facts.eos_token = map.eos_token;
    facts.special_tokens.merge(map.special_tokens);
  }
  c.special_tokens = std::move(facts.special_tokens);
  if (facts.eos_token_id || facts.eos_token.empty() || c.tokenizer_json_path.empty())
    return facts.eos_token_id;
  ASSIGN_OR_RETURN(const std::string text, read_text_file(c.tokenizer_json_path, kMaxTokenizerBytes));
  return find_added_token(text, c.tokenizer_json_path, facts.eos_token);
}

// Every tensor must be of a type that can be computed with.
Status check_types(const TensorSource& tensors) {
  for (const TensorInfo& tensor : tensors.tensors()) {
    if (tensor.supported) continue;
    std::string all;
    for (const WeightFormatInfo& format : kWeightFormats) all += fmt::format(" {}", format.name);
    return unsupported(fmt::format("{}: tensor {} is of type {}, supported are{}",
                                   tensors.file_names()[static_cast<size_t>(tensor.file)],
                                   quote_name(tensor.name), tensor.dtype_name, all));
  }
  return ok_status();
}

Status open_hugging_face(const Layout& layout, const CheckpointOptions& options, Checkpoint& c) {
  c.kind = CheckpointKind::kHuggingFace;
  const bool need_weights = options.need_weights && !options.config_only;
  RETURN_IF_ERROR(read_config(c, options.need_weights || options.config_only));
  RETURN_IF_ERROR(read_generation_config(c));
  ASSIGN_OR_RETURN(const std::optional<TokenId> eos, read_tokenizer_files(c));
  if (need_weights) {
    const bool sharded = layout.weights == WeightsKind::kSafetensorsIndex;
    ASSIGN_OR_RETURN(c.tensors, sharded ? open_sharded_safetensors(layout.weights_path)
                                        : open_safetensors(layout.weights_path));
  }
  set_eos(c, eos);
  return ok_status();
}

void name_special_tokens(const GgufVocab& vocab, std::map<std::string, std::string>& out) {
  const auto add = [&](const char* name, const std::optional<TokenId>& id) {
    if (id) out[name] = vocab.tokens[static_cast<size_t>(*id)];
  };
  add("bos_token", vocab.bos_id);
  add("eos_token", vocab.eos_id);
  add("unk_token", vocab.unk_id);
  add("pad_token", vocab.pad_id);
}

Status open_gguf(const std::string& path, bool need_weights, Checkpoint& c) {
  c.kind = CheckpointKind::kGguf;
  ASSIGN_OR_RETURN(File file, File::open(path));
  ASSIGN_OR_RETURN(GgufFile gguf, read_gguf(file));
  std::vector<File> files;
  files.push_back(std::move(file));
  ASSIGN_OR_RETURN(c.tensors, FileTensorSource::create(std::move(files), std::move(gguf.tensors)));
  Result<ModelConfig> config = parse_gguf_config(gguf.metadata, *c.tensors);
  if (!config && need_weights) return config.error();
  if (config) c.config = *std::move(config);
  ASSIGN_OR_RETURN(c.generation, parse_gguf_generation(gguf.metadata));
  ASSIGN_OR_RETURN(const std::optional<std::string> chat_template,
                   gguf.metadata.text("tokenizer.chat_template"));
  c.chat_template = chat_template.value_or("");
  ASSIGN_OR_RETURN(const std::optional<std::string> tool_template,
                   gguf.metadata.text("tokenizer.chat_template.tool_use"));
  c.tool_template = tool_template.value_or("");
  ASSIGN_OR_RETURN(c.gguf_vocab, take_gguf_vocab(gguf.metadata));
  name_special_tokens(*c.gguf_vocab, c.special_tokens);
  if (c.config && c.gguf_vocab->tokens.size() > static_cast<size_t>(c.config->vocab_size)) {
    return invalid_argument(fmt::format("{}: {} tokens, but the embedding has {} rows", path,
                                        c.gguf_vocab->tokens.size(), c.config->vocab_size));
  }
  if (!need_weights) c.tensors = nullptr;
  set_eos(c, c.gguf_vocab->eos_id);
  return ok_status();
}

Result<Checkpoint> open_config(const std::string& path, const CheckpointOptions& options) {
  ASSIGN_OR_RETURN(const Layout layout, find_layout(path, false));
  if (layout.weights == WeightsKind::kGguf && file_in(layout.directory, "config.json").empty())
    return unsupported(fmt::format(
        "{}: a GGUF file; without its weights a model is a folder with config.json", layout.weights_path));
  Checkpoint c;
  c.path = path;
  c.directory = layout.directory;
  RETURN_IF_ERROR(open_hugging_face(layout, options, c));
  return c;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& path, const CheckpointOptions& options) {
  if (options.config_only) return open_config(path, options);
  ASSIGN_OR_RETURN(const Layout layout, find_layout(path, options.need_weights));
  Checkpoint c;
  c.path = path;
  c.directory = layout.directory;
  // A folder's own tokenizer.json goes before a GGUF file beside it, when only the tokenizer is wanted.
  const bool own_tokenizer = !options.need_weights && layout.weights_path != path &&
                             !file_in(layout.directory, "tokenizer.json").empty();
  const bool use_gguf = layout.weights == WeightsKind::kGguf && !own_tokenizer;
  if (!options.need_weights && !use_gguf && file_in(layout.directory, "tokenizer.json").empty()) {
    return not_found(fmt::format("{}: no tokenizer: neither tokenizer.json nor a single .gguf file", path));
  }
  if (use_gguf) {
    RETURN_IF_ERROR(open_gguf(layout.weights_path, options.need_weights, c));
  } else {
    RETURN_IF_ERROR(open_hugging_face(layout, options, c));
  }
  if (c.tensors != nullptr && !options.list_only) RETURN_IF_ERROR(check_types(*c.tensors));
  return c;
}

}  // namespace pegainfer
