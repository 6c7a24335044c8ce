#include "tokenizer/cli.h"

#include <fmt/core.h>

#include <functional>
#include <istream>
#include <iterator>
#include <ostream>
#include <string>

#include "base/json.h"
#include "base/utf8.h"

namespace pegainfer {
namespace {

constexpr int kExitInput = 2;
constexpr int kExitOutput = 4;

std::string ids_as_json(const std::vector<TokenId>& ids) {
  std::string out = "[";
  for (const TokenId id : ids) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(id);
  }
  out += ']';
  return out;
}

Result<std::vector<TokenId>> ids_from_json(const Tokenizer& tokenizer, std::string_view text) {
  ASSIGN_OR_RETURN(const json::Value value, json::parse(text));
  const json::Array* const array = value.if_array();
  if (array == nullptr) {
    return invalid_argument(fmt::format("found {}, expected an array of token ids", json::kind_name(value)));
  }
  std::vector<TokenId> ids;
  ids.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const json::Value& item = (*array)[i];
    if (!item.is_int64() || item.get_int64() < 0 || item.get_int64() >= tokenizer.vocab_size()) {
      return invalid_argument(fmt::format("item {} is {}, expected a token id from 0 to {}", i,
                                          json::dump(item), tokenizer.vocab_size() - 1));
    }
    ids.push_back(static_cast<TokenId>(item.get_int64()));
  }
  return ids;
}

Result<std::string> string_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const json::Value value, json::parse(text));
  if (!value.is_string()) {
    return invalid_argument(fmt::format("found {}, expected a JSON string", json::kind_name(value)));
  }
  return std::string(value.get_string());
}

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

int finish(std::ostream& out, std::ostream& err) {
  out.flush();
  if (out) return 0;
  err << "error: standard output cannot be written\n";
  return kExitOutput;
}

// One line of output for each line of input.
int each_line(std::istream& in, std::ostream& out, std::ostream& err,
              const std::function<Result<std::string>(std::string_view)>& convert) {
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const Result<std::string> converted = convert(line);
    if (!converted) {
      out.flush();
      err << fmt::format("error: line {} of standard input: {}\n", number, converted.error().message);
      return kExitInput;
    }
    out << *converted << '\n';
  }
  return finish(out, err);
}

}  // namespace

int run_tokenize(const Tokenizer& tokenizer, bool add_special, bool jsonl, std::istream& in,
                 std::ostream& out, std::ostream& err) {
  const EncodeOptions options{.add_special_tokens = add_special};
  if (jsonl) {
    return each_line(in, out, err, [&](std::string_view line) -> Result<std::string> {
      ASSIGN_OR_RETURN(const std::string text, string_from_json(line));
      return ids_as_json(tokenizer.encode(text, options));
    });
  }
  const std::string text = read_all(in);
  if (const size_t bad = utf8::find_invalid(text); bad != std::string_view::npos) {
    err << fmt::format("error: standard input is not valid UTF-8 at byte {}\n", bad);
    return kExitInput;
  }
  out << ids_as_json(tokenizer.encode(text, options)) << '\n';
  return finish(out, err);
}

int run_detokenize(const Tokenizer& tokenizer, bool jsonl, std::istream& in, std::ostream& out,
                   std::ostream& err) {
  if (jsonl) {
    return each_line(in, out, err, [&](std::string_view line) -> Result<std::string> {
      ASSIGN_OR_RETURN(const std::vector<TokenId> ids, ids_from_json(tokenizer, line));
      return json::quote(tokenizer.decode(ids, false));
    });
  }
  const Result<std::vector<TokenId>> ids = ids_from_json(tokenizer, read_all(in));
  if (!ids) {
    err << fmt::format("error: standard input: {}\n", ids.error().message);
    return kExitInput;
  }
  out << tokenizer.decode(*ids, false);
  return finish(out, err);
}

}  // namespace pegainfer
