#include "checkpoint/inspect.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/names.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_files.h"

namespace pegainfer {
namespace {

struct TypeTotal {
  std::string name;
  bool supported = true;
  uint64_t tensors = 0, parameters = 0, bytes = 0;
};

struct Report {
  std::string path;
  std::string format;        // "GGUF v3", "safetensors"
  std::string architecture;  // "" when a bare file does not say
  std::string not_a_model;   // why a bare file cannot be run, "" when it can or was not asked to be a model
  std::optional<ModelConfig> config;
  std::vector<TokenId> eos_token_ids;
  bool has_chat_template = false;
  std::optional<size_t> vocabulary;  // tokens of a GGUF vocabulary
  std::unique_ptr<TensorSource> tensors;

  // Computed from the tensors.
  uint64_t parameters = 0, bytes = 0, file_bytes = 0;
  std::vector<TypeTotal> types;  // largest first
};

uint64_t parameters_of(const TensorInfo& tensor) {
  uint64_t n = 1;
  for (const int64_t dim : tensor.shape) n *= static_cast<uint64_t>(dim);  // fits: checked when opened
  return n;
}

// 1234567 -> "1,234,567"
std::string grouped(uint64_t n) {
  std::string digits = fmt::format("{}", n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string human(double value, double step, const std::array<std::string_view, 6>& units) {
  size_t unit = 0;
  while (value >= step && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f}{}", value, units[0]);
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, units.at(unit));
}

std::string human_bytes(uint64_t n) {
  return human(static_cast<double>(n), 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB"});
}
std::string human_count(uint64_t n) {
  return human(static_cast<double>(n), 1000, {"", " K", " M", " B", " T", " Q"});
}

std::string shape_text(const TensorInfo& tensor) {
  std::string out;
  for (const int64_t dim : tensor.shape) out += (out.empty() ? "" : " x ") + fmt::format("{}", dim);
  return out.empty() ? "scalar" : out;
}

void add_totals(Report& report) {
  std::map<std::string, TypeTotal> by_name;
  for (const TensorInfo& tensor : report.tensors->tensors()) {
    TypeTotal& total = by_name[tensor.dtype_name];
    total.name = tensor.dtype_name;
    total.supported = tensor.supported;
    total.tensors += 1;
    total.parameters += parameters_of(tensor);
    total.bytes += tensor.bytes;
    report.parameters += parameters_of(tensor);
    report.bytes += tensor.bytes;
  }
  for (auto& [name, total] : by_name) report.types.push_back(std::move(total));
  std::stable_sort(report.types.begin(), report.types.end(),
                   [](const TypeTotal& a, const TypeTotal& b) { return a.bytes > b.bytes; });
  for (const std::string& name : report.tensors->file_names()) {
    std::error_code ec;
    const uintmax_t size = std::filesystem::file_size(name, ec);
    if (!ec) report.file_bytes += size;
  }
}

Result<Report> report_gguf_file(const std::string& path) {
  Report report;
  ASSIGN_OR_RETURN(File file, File::open(path));
  ASSIGN_OR_RETURN(GgufFile gguf, read_gguf(file));
  report.format = fmt::format("GGUF v{}", gguf.version);
  std::vector<File> files;
  files.push_back(std::move(file));
  ASSIGN_OR_RETURN(report.tensors, FileTensorSource::create(std::move(files), std::move(gguf.tensors)));
  if (Result<std::optional<std::string>> name = gguf.metadata.text("general.architecture"); name && *name) {
    report.architecture = **name;
  }
  Result<ModelConfig> config = parse_gguf_config(gguf.metadata, *report.tensors);
  if (!config) {
    report.not_a_model = config.error().message;
  } else {
    report.config = *std::move(config);
    report.eos_token_ids = report.config->eos_token_ids;
  }
  report.has_chat_template = gguf.metadata.find("tokenizer.chat_template") != nullptr;
  if (Result<GgufVocab> vocab = take_gguf_vocab(gguf.metadata)) report.vocabulary = vocab->tokens.size();
  return report;
}

Result<Report> report_model(const std::string& path) {
  Report report;
  ASSIGN_OR_RETURN(Checkpoint c, Checkpoint::open(path, {.need_weights = true, .list_only = true}));
  report.format = c.kind == CheckpointKind::kGguf ? "GGUF" : "safetensors";
  report.config = std::move(c.config);
  report.architecture = report.config->architecture_name;
  report.eos_token_ids = std::move(c.eos_token_ids);
  report.has_chat_template = !c.chat_template.empty();
  if (c.gguf_vocab) report.vocabulary = c.gguf_vocab->tokens.size();
  report.tensors = std::move(c.tensors);
  return report;
}

Result<Report> make_report(const std::string& path) {
  const std::filesystem::path file(path);
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec)) return report_model(path);
  if (file.extension() == ".safetensors") {
    Report report;
    report.format = "safetensors";
    ASSIGN_OR_RETURN(report.tensors, open_safetensors(path));
    return report;
  }
  ASSIGN_OR_RETURN(const File opened, File::open(path));
  ASSIGN_OR_RETURN(const bool magic, has_gguf_magic(opened));
  if (magic || file.extension() == ".gguf") return report_gguf_file(path);
  return report_model(path);  // its errors say what is expected: pickle files are refused by name
}

std::string rope_text(const RopeConfig& rope) {
  constexpr std::array<std::string_view, 4> kNames{"default", "linear", "llama3", "yarn"};
  std::string out = fmt::format("{}, theta {}", kNames.at(static_cast<size_t>(rope.type)), rope.theta);
  if (rope.type != RopeType::kDefault) out += fmt::format(", factor {}", rope.factor);
  if (rope.original_max_position_embeddings > 0) {
    out += fmt::format(", from {}", grouped(static_cast<uint64_t>(rope.original_max_position_embeddings)));
  }
  if (!rope.freq_factors.empty()) out += ", with divisors per frequency";
  return out;
}

std::string window_text(const ModelConfig& c) {
  if (c.sliding_window == 0) return "none";
  const auto slides = std::count(c.layer_uses_window.begin(), c.layer_uses_window.end(), true);
  const std::string layers =
      c.layer_uses_window.empty() ? "every layer" : fmt::format("{} of {} layers", slides, c.num_layers);
  return fmt::format("{} positions in {}", grouped(static_cast<uint64_t>(c.sliding_window)), layers);
}

std::string bias_text(const ModelConfig& c) {
  std::string out;
  for (const auto& [there, name] : {std::pair(c.attention_bias, "q, k, v"),
                                    std::pair(c.attention_output_bias, "o"), std::pair(c.mlp_bias, "MLP")}) {
    if (there) out += (out.empty() ? "" : ", ") + std::string(name);
  }
  return out.empty() ? "none" : out;
}

class Text {
 public:
  void line(std::string_view name, std::string_view value) {
    out_ += fmt::format("  {:<16}{}\n", name, value);
  }
  void raw(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void add_config(const ModelConfig& c, Text& out) {
  const auto n = [](int v) { return grouped(static_cast<uint64_t>(v)); };
  out.line("layers",
           fmt::format("{}, hidden {}, MLP {}", c.num_layers, n(c.hidden_size), n(c.intermediate_size)));
  out.line("attention", fmt::format("{} heads, {} KV heads of {}{}", c.num_heads, c.num_kv_heads, c.head_dim,
                                    c.qk_norm ? ", QK norm" : ""));
  out.line("vocabulary",
           fmt::format("{}, {} output head", n(c.vocab_size), c.tie_word_embeddings ? "tied" : "own"));
  out.line("context", n(c.max_position_embeddings));
  out.line("sliding window", window_text(c));
  out.line("rope", rope_text(c.rope));
  out.line("biases", bias_text(c));
}

void add_table(const TensorSource& tensors, Text& out) {
  size_t name_width = 6, shape_width = 5;
  std::vector<std::pair<std::string, std::string>> cells;
  for (const TensorInfo& tensor : tensors.tensors()) {
    // The reader refused control bytes; quotes are not wanted here.
    cells.emplace_back(tensor.name, shape_text(tensor));
    name_width = std::max(name_width, cells.back().first.size());
    shape_width = std::max(shape_width, cells.back().second.size());
  }
  name_width = std::min<size_t>(name_width, 64);
  out.raw(fmt::format("\n{:<{}}  {:<8}{:>{}}  {:>10}  {:>10}\n", "tensor", name_width, "type", "shape",
                      shape_width, "parameters", "size"));
  size_t i = 0;
  for (const TensorInfo& tensor : tensors.tensors()) {
    out.raw(fmt::format("{:<{}}  {:<8}{:>{}}  {:>10}  {:>10}{}\n", cells[i].first, name_width,
                        tensor.dtype_name, cells[i].second, shape_width, human_count(parameters_of(tensor)),
                        human_bytes(tensor.bytes), tensor.supported ? "" : "  (not loadable)"));
    ++i;
  }
}

std::string as_text(const Report& r) {
  Text out;
  out.raw(r.path + "\n");
  const size_t files = r.tensors->file_names().size();
  out.line("format", files == 1 ? r.format : fmt::format("{}, {} shards", r.format, files));
  if (!r.architecture.empty()) out.line("architecture", r.architecture);
  if (!r.not_a_model.empty()) out.line("not runnable", r.not_a_model);
  out.line("parameters", fmt::format("{} ({})", human_count(r.parameters), grouped(r.parameters)));
  out.line("weights",
           fmt::format("{} in {} tensors", human_bytes(r.bytes), grouped(r.tensors->tensors().size())));
  out.line("on disk", fmt::format("{} ({} bytes)", human_bytes(r.file_bytes), grouped(r.file_bytes)));
  for (size_t i = 0; i < r.types.size(); ++i) {
    const TypeTotal& t = r.types[i];
    out.line(i == 0 ? "types" : "",
             fmt::format("{:<8}{:>5} tensors {:>10} {:>10}{}", t.name, t.tensors, human_count(t.parameters),
                         human_bytes(t.bytes), t.supported ? "" : "  not loadable"));
  }
  if (r.config) {
    add_config(*r.config, out);
    std::string ids;
    for (const TokenId id : r.eos_token_ids) ids += (ids.empty() ? "" : ", ") + fmt::format("{}", id);
    out.line("ends with", ids.empty() ? "no token" : ids);
    out.line("chat template", r.has_chat_template ? "yes" : "no");
  } else if (r.vocabulary) {
    out.line("vocabulary", grouped(*r.vocabulary));
  }
  if (!r.tensors->tensors().empty()) add_table(*r.tensors, out);
  return out.take();
}

json::Value config_json(const ModelConfig& c) {
  constexpr std::array<std::string_view, 4> kRope{"default", "linear", "llama3", "yarn"};
  json::Object rope{{"type", kRope.at(static_cast<size_t>(c.rope.type))},
                    {"theta", c.rope.theta},
                    {"factor", c.rope.factor}};
  json::Object out{{"num_hidden_layers", c.num_layers},
                   {"hidden_size", c.hidden_size},
                   {"intermediate_size", c.intermediate_size},
                   {"num_attention_heads", c.num_heads},
                   {"num_key_value_heads", c.num_kv_heads},
                   {"head_dim", c.head_dim},
                   {"vocab_size", c.vocab_size},
                   {"max_position_embeddings", c.max_position_embeddings},
                   {"rms_norm_eps", c.rms_norm_eps},
                   {"tie_word_embeddings", c.tie_word_embeddings},
                   {"attention_bias", c.attention_bias},
                   {"attention_output_bias", c.attention_output_bias},
                   {"mlp_bias", c.mlp_bias},
                   {"qk_norm", c.qk_norm},
                   {"sliding_window", c.sliding_window}};
  out["rope"] = std::move(rope);
  return out;
}

std::string as_json(const Report& r) {
  json::Object out{{"path", r.path},
                   {"format", r.format},
                   {"parameters", r.parameters},
                   {"weight_bytes", r.bytes},
                   {"file_bytes", r.file_bytes}};
  if (!r.architecture.empty()) out["architecture"] = r.architecture;
  if (!r.not_a_model.empty()) out["not_runnable"] = r.not_a_model;
  if (r.vocabulary) out["tokens"] = *r.vocabulary;
  if (r.config) {
    out["config"] = config_json(*r.config);
    json::Array ids;
    for (const TokenId id : r.eos_token_ids) ids.emplace_back(id);
    out["eos_token_ids"] = std::move(ids);
    out["chat_template"] = r.has_chat_template;
  }
  json::Array files;
  for (const std::string& name : r.tensors->file_names()) files.emplace_back(name);
  out["files"] = std::move(files);
  json::Array types;
  for (const TypeTotal& t : r.types) {
    types.push_back(json::Object{{"dtype", t.name},
                                 {"supported", t.supported},
                                 {"tensors", t.tensors},
                                 {"parameters", t.parameters},
                                 {"bytes", t.bytes}});
  }
  out["dtypes"] = std::move(types);
  json::Array tensors;
  for (const TensorInfo& t : r.tensors->tensors()) {
    json::Array shape(t.shape.begin(), t.shape.end());
    tensors.push_back(json::Object{{"name", t.name},
                                   {"dtype", t.dtype_name},
                                   {"supported", t.supported},
                                   {"shape", std::move(shape)},
                                   {"bytes", t.bytes},
                                   {"file", t.file},
                                   {"offset", t.offset}});
  }
  out["tensors"] = std::move(tensors);
  return json::dump(out) + "\n";
}

}  // namespace

Result<std::string> inspect(const std::string& path, bool json) {
  ASSIGN_OR_RETURN(const std::string resolved, resolve_model_path(path));
  ASSIGN_OR_RETURN(Report report, make_report(resolved));
  report.path = resolved;
  add_totals(report);
  return json ? as_json(report) : as_text(report);
}

}  // namespace pegainfer
