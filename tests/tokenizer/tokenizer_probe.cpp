// Runs a tokenizer over JSON lines for the tests that compare it with Hugging Face's from Python.
//   tokenizer_probe json PATH | gguf PATH (a vocabulary as JSON)   lines on standard input:
//     "text"        ->  [ids with what is added], [ids without]
//     [ids]         ->  [decoded, decoded without special tokens, [token texts]]
//     {"text": .., "untrusted": [[begin, end], ..], "control": [ids]}  ->  [ids without what is added]
//     {"named_in": text}  ->  [ids]: tokens_named_in()
//   tokenizer_probe unicode                  ->  for every code point that is not plain: code, class bits,
//   and what the
//                                                normalizers make of it (see print_unicode)
//   tokenizer_probe bench json|gguf PATH TEXT_FILE     ->  {"load_ms": .., "encode_ms": .., "bytes": ..,
//   "tokens": .., "peak_kb": ..}
// Decoding is also done token by token; pieces that are broken or do not add up end the program.
#include <cstdint>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer_loader.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Processor time of this thread: what a busy machine does not change.
double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

// The most memory this process has had, which getrusage() would mix up with its parent's.
int64_t peak_kb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    int64_t kb = 0;
    if (word == "VmHWM:" && status >> kb) return kb;
  }
  return 0;
}

template <class T, class Get>
std::vector<T> list(const json::Object& object, std::string_view key, Get&& get) {
  std::vector<T> out;
  if (const json::Value* value = json::find(object, key)) {
    for (const json::Value& item : value->as_array()) out.push_back(get(item));
  }
  return out;
}

// `load_ms`: the time without reading the dump, which no real file needs.
Result<std::shared_ptr<const Tokenizer>> load_gguf(const std::string& path, double* load_ms) {
  ASSIGN_OR_RETURN(const json::Value value, json::parse(read_file(path)));
  const json::Object& o = value.as_object();
  const auto text = [](const json::Value& v) { return std::string(v.as_string()); };
  GgufVocab vocab;
  ASSIGN_OR_RETURN(vocab.model, json::get_string(o, "model"));
  ASSIGN_OR_RETURN(vocab.pre, json::get_string(o, "pre", ""));
  vocab.tokens = list<std::string>(o, "tokens", text);
  vocab.merges = list<std::string>(o, "merges", text);
  vocab.scores = list<float>(o, "scores", [](const json::Value& v) { return v.to_number<float>(); });
  vocab.token_types =
      list<int32_t>(o, "token_types", [](const json::Value& v) { return v.to_number<int32_t>(); });
  const auto id = [&](std::string_view key) {
    const json::Value* v = json::find(o, key);
    return v == nullptr ? std::optional<TokenId>() : v->to_number<TokenId>();
  };
  const auto flag = [&](std::string_view key) {
    const json::Value* v = json::find(o, key);
    return v == nullptr ? std::optional<bool>() : v->as_bool();
  };
  vocab.bos_id = id("bos_id");
  vocab.eos_id = id("eos_id");
  vocab.unk_id = id("unk_id");
  vocab.add_bos = flag("add_bos");
  vocab.add_eos = flag("add_eos");
  vocab.add_space_prefix = flag("add_space_prefix");
  const double begin = cpu_ms();
  auto tokenizer = make_tokenizer(vocab);
  *load_ms = cpu_ms() - begin;
  return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> load(const std::string& kind, const std::string& path,
                                              double* load_ms) {
  if (kind == "gguf") return load_gguf(path, load_ms);
  const double begin = cpu_ms();
  auto tokenizer = load_tokenizer_json(path, "");
  *load_ms = cpu_ms() - begin;
  return tokenizer;
}

json::Array as_json(const std::vector<TokenId>& ids) { return json::Array(ids.begin(), ids.end()); }

// Decodes in one piece and token by token.
std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip) {
  const std::string whole = tokenizer.decode(ids, skip);
  const auto stream = tokenizer.stream(skip);
  std::string pieces;
  const auto take = [&](const std::string& piece) {
    if (!utf8::valid(piece)) {
      std::cerr << "broken piece " << json::quote(piece) << '\n';
      std::exit(1);
    }
    pieces += piece;
  };
  for (const TokenId id : ids) take(stream->append(id));
  take(stream->finish());
  if (pieces != whole) {
    std::cerr << "pieces " << json::quote(pieces) << ", whole " << json::quote(whole) << '\n';
    std::exit(1);
  }
  return whole;
}

json::Array answer_object(const Tokenizer& tokenizer, const json::Object& line) {
  if (const json::Value* source = json::find(line, "named_in")) {
    return as_json(tokens_named_in(tokenizer, source->as_string()));
  }
  const auto spans = list<TextSpan>(line, "untrusted", [](const json::Value& v) {
    return TextSpan{v.at(0).to_number<size_t>(), v.at(1).to_number<size_t>()};
  });
  const auto control =
      list<TokenId>(line, "control", [](const json::Value& v) { return v.to_number<TokenId>(); });
  return as_json(
      tokenizer.encode(line.at("text").as_string(),
                       {.add_special_tokens = false, .untrusted = spans, .control_tokens = control}));
}

json::Array answer(const Tokenizer& tokenizer, const json::Value& line) {
  if (const auto* object = line.if_object()) return answer_object(tokenizer, *object);
  json::Array out;
  if (const auto* text = line.if_string()) {
    out.push_back(as_json(tokenizer.encode(*text, {.add_special_tokens = true})));
    out.push_back(as_json(tokenizer.encode(*text, {.add_special_tokens = false})));
    return out;
  }
  std::vector<TokenId> ids;
  json::Array texts;
  for (const json::Value& item : line.as_array()) {
    ids.push_back(item.to_number<TokenId>());
    texts.emplace_back(tokenizer.token_text(ids.back()));
  }
  out.emplace_back(decode(tokenizer, ids, false));
  out.emplace_back(decode(tokenizer, ids, true));
  out.push_back(std::move(texts));
  return out;
}

int bench(const std::string& kind, const std::string& path, const std::string& text_path) {
  double load_ms = 0;
  const auto tokenizer = load(kind, path, &load_ms);
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << '\n';
    return 2;
  }
  const std::string text = read_file(text_path);
  double best = 0;
  size_t tokens = 0;
  for (int i = 0; i < 3; ++i) {
    const double start = cpu_ms();
    tokens = (*tokenizer)->encode(text).size();
    const double ms = cpu_ms() - start;
    if (i == 0 || ms < best) best = ms;
  }
  const json::Object out{{"load_ms", load_ms},
                         {"encode_ms", best},
                         {"bytes", text.size()},
                         {"tokens", tokens},
                         {"peak_kb", peak_kb()}};
  std::cout << json::dump(out) << '\n';
  return 0;
}

// [code, class bits, NFC, NFD, NFKC, NFKD, lowercase, NFD between marks of class 240 and 1]
void print_unicode() {
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const auto form :
       {unicode::Form::kNfc, unicode::Form::kNfd, unicode::Form::kNfkc, unicode::Form::kNfkd}) {
    steps.push_back(make_form_normalizer(form));
  }
  steps.push_back(make_lowercase());
  std::string buffer;
  size_t origin = 0;
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    unicode::append(text, code);
    json::Array row{code, unicode::ClassTable::get().of(code)};
    bool plain = row[1] == 0;
    for (const auto& step : steps) {
      row.emplace_back(step->apply(text, buffer, &origin));
      plain = plain && row.back().get_string() == text;
    }
    const std::string marked = "a\xCD\x85" + text + "\xCC\xB4";
    row.emplace_back(steps[1]->apply(marked, buffer, &origin));
    plain = plain && row.back().get_string() == marked;
    if (!plain) std::cout << json::dump(row) << '\n';
  }
}

int run(const std::string& kind, const std::string& path) {
  double load_ms = 0;
  const auto tokenizer = load(kind, path, &load_ms);
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << '\n';
    return 2;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto value = json::parse(line);
    if (!value) {
      std::cerr << value.error().message << ": " << line << '\n';
      return 2;
    }
    std::cout << json::dump(answer(**tokenizer, *value)) << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace pegainfer

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "bench") return pegainfer::bench(args[1], args[2], args[3]);
  if (args.size() == 1 && args[0] == "unicode") {
    pegainfer::print_unicode();
    return 0;
  }
  if (args.size() == 2) return pegainfer::run(args[0], args[1]);
  std::cerr << "usage: tokenizer_probe json|gguf PATH, unicode, or bench json|gguf PATH TEXT_FILE\n";
  return 2;
}
